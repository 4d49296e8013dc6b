"""API clients."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from oauth2_provider.generators import generate_client_id, generate_client_secret
from oauth2_provider.models import get_application_model

from access.errors import ClientExists, UnknownScope
from access.scopes import SCOPES


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """What a machine needs to fetch tokens. The secret is stored as a hash and shown once."""

    name: str
    client_id: str
    client_secret: str


@transaction.atomic
def create_client(*, name: str, scopes: Sequence[str], replace: bool = False) -> ClientCredentials:
    """A machine may fetch tokens (OAuth 2.0 client credentials) for at most these scopes.

    Raises:
        UnknownScope: one of the scopes does not exist.
        ClientExists: there is a client of that name, and ``replace`` is false.
    """
    for scope in scopes:
        if scope not in SCOPES:
            raise UnknownScope(scope=scope, known=", ".join(SCOPES))
    applications = get_application_model().objects
    if applications.filter(name=name).exists():
        if not replace:
            raise ClientExists(name=name)
        applications.filter(name=name).delete()
    secret = generate_client_secret()
    client = applications.create(
        name=name,
        client_id=generate_client_id(),
        client_secret=secret,
        client_type="confidential",
        authorization_grant_type="client-credentials",
        allowed_scopes=" ".join(scopes),
    )
    return ClientCredentials(name=name, client_id=client.client_id, client_secret=secret)
