"""The forms in which events come in, and how a body that was kept is read again.

The ways in register the reader of their form; the body of a form without one can be mended into a
native event, or discarded.
"""

from collections.abc import Callable

import msgspec

from events.cleaning import Doubtful, parsed, readable_in
from events.services.intake import Item

NATIVE, ROW = "native", "row"
Reader = Callable[[bytes], Item]
ANYTHING = msgspec.json.Decoder(msgspec.Raw)

_readers: dict[str, Reader] = {}


def register_form(form: str, reader: Reader) -> None:
    """Bodies of this form are read by ``reader``, which tells doubts by the item that it returns.

    Raises:
        ValueError: another reader has it.
    """
    known = _readers.setdefault(form, reader)
    if known != reader:
        raise ValueError(f"the form {form} has a reader already: choose another name")


def is_readable(form: str) -> bool:
    """Whether bodies of this form can be read again."""
    return form in _readers


def read_again(form: str, body: bytes) -> Item:
    """The item in a body of this form, doubtful where it is none."""
    try:
        body.decode()
        ANYTHING.decode(body)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        doubt = Doubtful("malformed", "the body is not JSON: mend it or discard it")
        return Item(doubt, lambda: body, form=form)
    if form not in _readers:
        doubt = Doubtful("form_unreadable", f"no reader of {form} is installed: mend it as native")
        return Item(doubt, lambda: body, form=form)
    return _readers[form](body)


def native_item(raw: bytes) -> Item:
    """One native event; where it is none, what can still be read of it."""
    try:
        return Item(parsed(raw), lambda: raw)
    except Doubtful as doubt:
        seen = readable_in(raw)
        return Item(doubt, lambda: raw, seen.customer, seen.event_id)


def row_item(raw: bytes) -> Item:
    """The same of a file's row, whose numbers may stand there as texts."""
    item = native_item(raw)
    item.form = ROW
    if not isinstance(item.envelope, Doubtful):
        data = msgspec.json.decode(item.envelope.data)
        item.envelope = msgspec.structs.replace(item.envelope, data=data)
    return item
