"""Which scopes a client's token may carry."""

from typing import Any

from oauth2_provider.scopes import BaseScopes

from access.scopes import SCOPES


class ClientScopes(BaseScopes):  # type: ignore[misc]
    """A token never carries more than its client was given at creation."""

    def get_all_scopes(self) -> dict[str, str]:
        return SCOPES

    def get_available_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        return application.allowed_scopes.split() if application else []

    def get_default_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        """A token request that names no scope gets all that the client may have."""
        return self.get_available_scopes(application)
