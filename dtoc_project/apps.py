from django.apps import AppConfig


class DtocAdminConfig(AppConfig):
    """The roof: the Celery application, admin pages of other people's tables, the metrics."""

    name = "dtoc_project"

    def ready(self) -> None:
        from dtoc_project import celery, metrics  # noqa: F401 - every process knows the broker

        metrics.register()
