from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class EventsConfig(AppConfig):
    """What happened: the catalogue, the append-only store and the ways into it."""

    name = "events"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.urls import reverse

        from customers import lifecycle
        from customers.erasure import register_store
        from customers.links import register_link
        from events import forms
        from events.api.cloud_events import FORM, cloud_item
        from events.services.erase import EVENTS, QUARANTINE, close_stream
        from events.services.export_erasure import EXPORTS
        from events.services.registered import append_registered
        from events.services.upload_scan import UPLOADS

        post_migrate.connect(_begin_an_epoch_where_restored, sender=self)
        lifecycle.on_registered(append_registered)
        lifecycle.on_closing(close_stream)
        register_store(EVENTS)
        register_store(QUARANTINE)
        register_store(EXPORTS)
        register_store(UPLOADS)
        forms.register_form(forms.NATIVE, forms.native_item)
        forms.register_form(forms.ROW, forms.row_item)
        forms.register_form(FORM, cloud_item)
        register_link("Events", lambda p: f"{reverse('admin:events_event_changelist')}?q={p}")


def _begin_an_epoch_where_restored(**migrated: Any) -> None:
    """`migrate` is the first thing that runs over a restored dump."""
    from django.db import connections

    from common.clock import now
    from events.models import FeedEpoch
    from events.services import raise_where_restored

    tables = connections[migrated["using"]].introspection.table_names()
    if FeedEpoch._meta.db_table in tables:  # going back to an earlier migration, it is not
        raise_where_restored(at=now())
