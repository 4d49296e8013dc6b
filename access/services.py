"""API clients and write keys."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from oauth2_provider.generators import generate_client_id, generate_client_secret
from oauth2_provider.models import get_application_model

from access.errors import ClientExists, InvalidWriteKey, UnknownScope, WriteKeyExists
from access.models import WriteKey
from access.scopes import SCOPES
from access.write_keys import digest_of, recent_sources


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


@dataclass(frozen=True, slots=True)
class NewWriteKey:
    """A write key in plain; only its digest is stored, so it is shown once."""

    write_key: WriteKey
    plain: str


@transaction.atomic
def create_write_key(
    *, name: str, at: datetime, another: bool = False, **options: Any
) -> NewWriteKey:
    """A sender may send events as the source ``name``; ``options`` are fields of the model.

    Raises:
        InvalidWriteKey: a field is not what the model allows.
        WriteKeyExists: the source has an active key, and ``another`` is false.
    """
    with connection.cursor() as cursor:  # two at once would both find no key of that name
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"write key {name}"])
    if not another and WriteKey.objects.filter(name=name, is_active=True).exists():
        raise WriteKeyExists(name=name)
    plain = f"dwk_{secrets.token_urlsafe(24)}"
    write_key = WriteKey(
        name=name, digest=digest_of(plain), shown=plain[:8], created_at=at, **options
    )
    try:
        write_key.full_clean()
    except ValidationError as error:
        field, problems = next(iter(error.message_dict.items()))
        raise InvalidWriteKey(field=field, problem=" ".join(problems)) from error
    write_key.save(force_insert=True)
    return NewWriteKey(write_key, plain)


def deactivate_write_key(*, write_key_id: int) -> None:
    """The key sends nothing any more; processes that just used it notice within five seconds."""
    WriteKey.objects.filter(id=write_key_id).update(is_active=False)
    recent_sources.clear()
