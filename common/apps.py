from django.apps import AppConfig


class CommonConfig(AppConfig):
    """The ground floor: operations, idempotency, locks, problem documents. Knows no other app."""

    name = "common"
    default_auto_field = "django.db.models.BigAutoField"
