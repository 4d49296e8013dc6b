from django.apps import AppConfig


class CustomersConfig(AppConfig):
    """Who: identity vault, registration, erasure on request."""

    name = "customers"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from customers.erasure import register_store
        from customers.stores import STORES

        for store in STORES:
            register_store(store)
