"""Who is asking."""

from typing import Any

from rest_framework.request import Request


def client_name(request: Request) -> str:
    """The name of the API client behind a request, or of the user in the admin."""
    application = getattr(request.auth, "application", None)
    return str(application.name if application else request.user)


def may(request: Request, scope: str) -> bool:
    """Whether the token behind a request carries ``scope``."""
    token: Any = request.auth
    return bool(token is not None and token.is_valid([scope]))
