from django.apps import AppConfig


class DtocAdminConfig(AppConfig):
    """The roof: admin pages of other people's tables, and the metrics collector."""

    name = "dtoc_project"

    def ready(self) -> None:
        from dtoc_project import metrics

        metrics.register()
