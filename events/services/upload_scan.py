"""Erasure and files that wait to be imported: none may name the person once it is complete.

Nothing has to be erased from such a file. Its import refuses the rows of somebody who was erased,
and when it ends, the file is gone.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

from django.core.files.storage import storages

from common.errors import DtocError
from customers.erasure import Finding, Needles, Store
from customers.errors import InvalidIdentity
from customers.identities import normalised
from events.files import Chunk, open_rows
from events.files.nested import WHOLE
from events.imports import uploads_in_use
from events.mapping import Mapping, load_mapping
from events.models_imports import Import

CHUNK_ROWS = 50_000
PLACE = "files that wait to be imported"


def scan_uploads(needles: Needles) -> Sequence[Finding]:
    """How many rows of uploaded files name the person by an identity or the pseudonym."""
    found = sum(_rows_naming(record, needles) for record in uploads_in_use())
    return [Finding(PLACE, "identity value", found)] if found else []


def _rows_naming(record: Import, needles: Needles) -> int:
    path = Path(storages["imports"].path(record.upload))
    mapping = load_mapping(record.mapping)
    column = mapping.customer.column if isinstance(mapping, Mapping) else WHOLE
    kind = mapping.customer.kind if isinstance(mapping, Mapping) else mapping.user_id_kind
    sought = {*needles.values, str(needles.pseudonym)}
    try:
        chunks = open_rows(path, [column], record.file_name).chunks(CHUNK_ROWS)
        return sum(_names(text, column, kind, sought) for text in _texts(chunks, column))
    except DtocError:  # it is gone, or damaged: no row of it will be stored
        return 0


def _texts(chunks: Iterator[Chunk], column: str) -> Iterator[str]:
    for chunk in chunks:
        yield from (str(value) for value in chunk.table.column(column).to_pylist() if value)
        yield from (broken.text for broken in chunk.broken)


def _names(text: str, column: str, kind: str, sought: set[str]) -> bool:
    """A cell is compared as a whole, a message is searched."""
    if column == WHOLE:
        return any(f'"{value}"' in text for value in sought)
    value = text.strip().removesuffix(".0")
    try:
        return value in sought or normalised(kind, value) in sought
    except InvalidIdentity:
        return False


def _nothing(pseudonym: UUID) -> int:
    return 0


UPLOADS = Store("imports", _nothing, lambda pseudonym, request_id: 0, scan_uploads)
