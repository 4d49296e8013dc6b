"""Who is asking."""

from rest_framework.request import Request


def client_name(request: Request) -> str:
    """The name of the API client behind a request, or of the user in the admin."""
    application = getattr(request.auth, "application", None)
    return str(application.name if application else request.user)


def may(request: Request, scope: str) -> bool:
    """Whether the token behind a request carries ``scope``."""
    return bool(request.auth is not None and request.auth.is_valid([scope]))
