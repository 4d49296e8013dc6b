from django.apps import AppConfig


class EventsConfig(AppConfig):
    """What happened: the catalogue, the append-only store and the ways into it."""

    name = "events"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.urls import reverse

        from customers import lifecycle
        from customers.erasure import register_store
        from customers.links import register_link
        from events.services.erase import EVENTS, QUARANTINE, close_stream
        from events.services.registered import append_registered

        lifecycle.on_registered(append_registered)
        lifecycle.on_closing(close_stream)
        register_store(EVENTS)
        register_store(QUARANTINE)
        register_link("Events", lambda p: f"{reverse('admin:events_event_changelist')}?q={p}")
