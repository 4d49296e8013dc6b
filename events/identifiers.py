"""Direct identifiers in fields that senders fill freely: found, and replaced by a keyed digest.

An e-mail address, a phone number or an IP address names a person. Equal ones keep equal digests
within a field, so that one can still count and join; without the vault's key nobody can go back.
"""

import re
from typing import Any

from customers.vault import identity_digest

DIRECT_IDENTIFIER = re.compile(
    r"[^@\s]@[^@\s]"  # an e-mail address
    r"|(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])"  # IPv4
    r"|(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{0,4}"  # IPv6
    r"|(?<!\w)\+?\d(?:[ ()./-]*\d){7,14}(?!\w)"  # a phone number
)
DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:T[0-9:.]+(?:Z|[+-]\d{2}:?\d{2})?)?")  # no phone number
LONGEST_KIND = 40
NOT_IN_A_KIND = re.compile(r"[^a-z0-9_]+")


def without_identifiers(kind: str, value: str) -> str:
    """``value``, or its keyed digest where it holds an e-mail, phone number or IP address."""
    if not DIRECT_IDENTIFIER.search(value) or DATE.fullmatch(value):
        return value
    return f"hmac:{identity_digest(kind, value).hex()}"


def without_identifiers_anywhere(field: str, value: Any) -> Any:
    """The same for every text in a JSON value, and for the names of its fields."""
    if isinstance(value, str):
        return without_identifiers(_kind(field), value)
    if isinstance(value, list):
        return [without_identifiers_anywhere(field, one) for one in value]
    if isinstance(value, dict):
        return {
            without_identifiers("field_name", name): without_identifiers_anywhere(name, one)
            for name, one in value.items()
        }
    return value


def _kind(field: str) -> str:
    """A kind of identity for a field of any name; names that differ in signs only share one."""
    plain = NOT_IN_A_KIND.sub("_", field.lower()).strip("_")
    return f"data_{plain}"[:LONGEST_KIND]
