from django.apps import AppConfig


class AccessConfig(AppConfig):
    """Who may: API clients and their scopes."""

    name = "access"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from access import schema  # noqa: F401 - tells the API documentation about our tokens
