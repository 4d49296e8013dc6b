from django.apps import AppConfig


class TwinsConfig(AppConfig):
    """Who they are now: model versions, twins, and the advancer that keeps them up to date."""

    name = "twins"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.urls import reverse

        from customers.erasure import register_store
        from customers.links import register_link
        from events.subscribers import on_appended
        from twins.erasure import SNAPSHOTS, TWINS
        from twins.nudges import nudge_shards

        on_appended(nudge_shards)
        register_store(TWINS)
        register_store(SNAPSHOTS)
        register_link("Twin", lambda p: f"{reverse('admin:twins_twin_changelist')}?q={p}")
