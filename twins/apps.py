from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from events.subscribers import Representation


class TwinsConfig(AppConfig):
    """Who they are now: model versions, twins, and the advancer that keeps them up to date."""

    name = "twins"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.urls import reverse

        from customers.erasure import register_store
        from customers.links import register_link
        from events.subscribers import on_appended, represented_by
        from twins.erasure import PARKED, SNAPSHOTS, TWINS
        from twins.nudges import messenger

        on_appended(messenger.tell)
        represented_by(_new_twin)
        register_store(TWINS)
        register_store(SNAPSHOTS)
        register_store(PARKED)
        register_link("Twin", lambda p: f"{reverse('admin:twins_twin_changelist')}?q={p}")


def _new_twin(pseudonym: "UUID", at: "datetime") -> "Representation | None":
    """Loaded when it is first asked for: serializers cannot be loaded while apps are."""
    from twins.api.representation import new_twin

    return new_twin(pseudonym, at)
