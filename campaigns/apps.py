from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    """What if: offers, audiences and simulated futures."""

    name = "campaigns"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from campaigns.erasure import AUDIENCE_MEMBERS, DECISIONS, EXPOSURES, SIMULATION_MEMBERS
        from customers.erasure import register_store

        register_store(AUDIENCE_MEMBERS)
        register_store(SIMULATION_MEMBERS)
        register_store(EXPOSURES)
        register_store(DECISIONS)
