"""Event types that an installation adds: a name, a schema version, a JSON Schema for the data."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from events.identifiers import without_identifiers
from events.models import CustomType

NAME = re.compile(r"[a-z][a-z0-9_]{1,59}")
ANYTHING: dict[str, Any] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class CustomSchema:
    """The newest schema of one custom type."""

    name: str
    version: int
    json_schema: str  # as text, so that equal schemas share one compiled validator

    def problem_of(self, data: dict[str, Any]) -> str:
        """What is wrong with ``data``, without repeating it; empty where it fits."""
        error = next(compiled(self.json_schema).iter_errors(data), None)
        if error is None:
            return ""
        path = "".join(f"/{step}" for step in error.instance_path)
        rule = "/".join(str(step) for step in error.schema_path)
        where = without_identifiers("field_name", path)  # names of fields are sent, too
        return f"data{where} breaks the rule {rule} of {self.name}"


def custom_schemas(names: Iterable[str]) -> dict[str, CustomSchema]:
    """The newest schema of each of these custom types; names nobody registered are left out."""
    asked = set(names)
    if not asked:
        return {}
    rows = CustomType.objects.filter(name__in=asked).order_by("name", "schema_version")
    return {
        name: CustomSchema(name, version, msgspec.json.encode(schema).decode())
        for name, version, schema in rows.values_list("name", "schema_version", "json_schema")
    }


def custom_type_names() -> list[str]:
    """The names of all custom types, in order."""
    return sorted(set(CustomType.objects.values_list("name", flat=True)))


@lru_cache(maxsize=512)
def compiled(json_schema: str) -> jsonschema_rs.Draft202012Validator:
    """A validator for a schema. It fetches nothing, and its patterns run in linear time.

    Raises:
        ValueError: it is no JSON Schema.
    """
    return jsonschema_rs.Draft202012Validator(
        msgspec.json.decode(json_schema),
        validate_formats=True,
        pattern_options=jsonschema_rs.RegexOptions(),
        retriever=_refused,
    )


def _refused(uri: str) -> Any:
    raise ValueError(f"{uri} lies elsewhere: put what it refers to under $defs")
