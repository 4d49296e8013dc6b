"""How the OpenAPI document describes our tokens and each route's scopes."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from access.permissions import scopes_of
from access.scopes import SCOPES


class OAuth2Scheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """OAuth 2.0 client credentials; every route lists the scopes that it requires."""

    target_class = "access.tokens.TokenAuthentication"
    name = "oauth2"
    priority = 1  # before the scheme that drf-spectacular brings along

    def get_security_requirement(self, auto_schema: Any) -> dict[str, list[str]]:
        return {self.name: list(scopes_of(auto_schema.view, auto_schema.method))}

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        flow = {"tokenUrl": "/oauth/token/", "scopes": SCOPES}
        return {"type": "oauth2", "flows": {"clientCredentials": flow}}
