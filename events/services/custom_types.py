"""Adding event types: by somebody with a schema, or by what a collector sees."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from django.conf import settings
from django.db import transaction

from events.catalogue import CATALOGUE
from events.custom_types import ANYTHING, NAME, compiled
from events.errors import InvalidCustomType
from events.models import CustomType

LARGEST_SCHEMA_BYTES = 64 * 1024


@transaction.atomic
def register_custom_type(
    *, name: str, json_schema: Any, description: str, by: str, at: datetime
) -> CustomType:
    """Events of this type are taken from now on, if their data fits the schema.

    For a known type this is a new schema version; events of older versions stay as they are. The
    same schema again changes nothing.

    Raises:
        InvalidCustomType: the name is malformed or of the catalogue, or the schema is none.
    """
    _require_name(name)
    _require_schema(name, json_schema)
    versions = CustomType.objects.select_for_update().filter(name=name).order_by("-schema_version")
    newest = versions.first()
    if newest is not None and newest.json_schema == json_schema:
        return newest
    return CustomType.objects.create(
        name=name,
        schema_version=newest.schema_version + 1 if newest else 1,
        json_schema=json_schema,
        description=description,
        created_by=by,
        created_at=at,
    )


def observe_types(*, names: Iterable[str], by: str, at: datetime) -> None:
    """Types that a collector saw are custom types from now on, with a schema that takes anything.

    Malformed names are passed over, and all of them once there are as many as the settings allow: a
    sender that makes up names must not fill the catalogue.
    """
    fresh = sorted(name for name in set(names) - CATALOGUE.keys() if NAME.fullmatch(name))
    observed = CustomType.objects.filter(origin=CustomType.Origin.OBSERVED).count()
    room = max(settings.DTOC_OBSERVED_TYPES - observed, 0)
    CustomType.objects.bulk_create(
        [
            CustomType(
                name=name,
                json_schema=ANYTHING,
                origin=CustomType.Origin.OBSERVED,
                created_by=by,
                created_at=at,
            )
            for name in fresh[:room]
        ],
        ignore_conflicts=True,  # two collectors may see a type at the same moment
    )


def _require_name(name: str) -> None:
    if not NAME.fullmatch(name):
        problem = "has a name that is no snake_case of 2 to 60 characters, like order_reviewed"
        raise InvalidCustomType(name=name[:60], problem=problem)
    if name in CATALOGUE:
        raise InvalidCustomType(name=name, problem="is in the catalogue: choose another name")


def _require_schema(name: str, json_schema: Any) -> None:
    text = msgspec.json.encode(json_schema)
    if len(text) > LARGEST_SCHEMA_BYTES:
        problem = f"has a schema of more than {LARGEST_SCHEMA_BYTES} bytes"
        raise InvalidCustomType(name=name, problem=problem)
    if not isinstance(json_schema, dict) or json_schema.get("type") != "object":
        problem = 'needs a schema with "type": "object", because data is always an object'
        raise InvalidCustomType(name=name, problem=problem)
    try:
        compiled(text.decode())
    except ValueError as error:
        problem = f"has no valid JSON Schema ({str(error).splitlines()[0][:200]})"
        raise InvalidCustomType(name=name, problem=problem) from error
