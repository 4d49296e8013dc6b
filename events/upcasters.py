"""Reading old events: pure functions from one schema version's data to the next.

Stored rows are never rewritten. When a type's class changes its meaning, its ``schema_version``
goes up and a function here, registered for the older version, turns old data into new data.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from events.catalogue import CATALOGUE, CustomEvent, EventData
from events.errors import UnknownSchemaVersion, UpcasterMissing

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: dict[tuple[str, int], Upcaster] = {}


def upcasts(type_name: str, version: int) -> Callable[[Upcaster], Upcaster]:
    """The decorated function turns ``version`` of a type into ``version + 1``."""

    def register(function: Upcaster) -> Upcaster:
        UPCASTERS[type_name, version] = function
        return function

    return register


def decode(type_name: str, version: int, data: bytes | str) -> EventData | CustomEvent:
    """The stored ``data`` as the newest class of its type; custom types come as they were stored.

    Raises:
        UnknownSchemaVersion: the catalogue does not know it.
        UpcasterMissing: an older version has no way up.
    """
    cls = CATALOGUE.get(type_name)
    if cls is None:
        return CustomEvent(
            type=type_name, schema_version=version, data=msgspec.json.decode(data, type=dict)
        )
    if version == cls.schema_version:
        return decoder(type_name).decode(data)
    return upcast(cls, version, msgspec.json.decode(data))


def upcast(cls: type[EventData], version: int, data: dict[str, Any]) -> EventData:
    """``data`` of an older schema version, taken step by step to the newest."""
    if not 1 <= version <= cls.schema_version:
        raise UnknownSchemaVersion(type=cls.type, version=version, newest=cls.schema_version)
    for step in range(version, cls.schema_version):
        function = UPCASTERS.get((cls.type, step))
        if function is None:
            raise UpcasterMissing(type=cls.type, version=step)
        data = function(data)
    return msgspec.convert(data, cls, strict=False)


@cache
def decoder(type_name: str) -> msgspec.json.Decoder[EventData]:
    """One compiled decoder for each type."""
    return msgspec.json.Decoder(CATALOGUE[type_name])
