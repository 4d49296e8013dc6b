"""The default permission of every view: a token with the scopes that the view names."""

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class HasScopes(BasePermission):
    """The client's token carries every scope that the view requires for this method.

    A view names them in ``required_scopes``: a tuple, or a mapping from method to tuple. A view
    that names none is closed to everybody.
    """

    message = "The access token lacks a scope that this route requires."

    def has_permission(self, request: Request, view: Any) -> bool:
        method = str(request.method)
        if not hasattr(view, method.lower()):
            raise MethodNotAllowed(method)  # nobody may, and the answer should say why
        required = scopes_of(view, method)
        token = request.auth
        if not required or token is None or not hasattr(token, "is_valid"):
            return False
        return bool(token.is_valid(required))


def scopes_of(view: Any, method: str) -> tuple[str, ...]:
    """The scopes that ``view`` requires for ``method``; empty where it names none."""
    named = getattr(view, "required_scopes", ())
    if isinstance(named, Mapping):
        return tuple(named.get("GET" if method == "HEAD" else method, ()))
    return tuple(named)
