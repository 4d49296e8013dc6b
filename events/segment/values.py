"""Single values of a message, as far as they can be brought to the form that our events want."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

LONGEST_TEXT = 200
CONTROLS = re.compile(r"[\x00-\x1f]")
COUNTRY = re.compile(r"[A-Za-z]{2}")
CURRENCY = re.compile(r"[A-Za-z]{3}")
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:/#+&-]{0,63}")

# What tells who somebody is, whatever its value looks like. Compared without case, "_", "-", " ".
PERSONAL = frozenset(
    {
        "address", "avatar", "birthday", "birthdate", "dateofbirth", "email", "emailaddress",
        "familyname", "firstname", "fullname", "givenname", "ip", "ipaddress", "lastname",
        "middlename", "mobile", "mobilephone", "password", "phone", "phonenumber", "ssn",
        "street", "streetaddress", "surname", "telephone", "username",
    }
)  # fmt: skip
SEPARATORS = re.compile(r"[_\-\s]")


def told(value: Any) -> Any:
    """``value`` as a code or an id: numbers become texts, what is neither stays as it is."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) else value


def optional_code(value: Any) -> str | None:
    """The code, or None where it is none: an optional field must not cost the whole event."""
    code = told(value)
    return code if isinstance(code, str) and CODE.fullmatch(code) else None


def number(value: Any) -> Any:
    """``value`` as a whole number where it is one, also written as a float or a text."""
    exact = amount(value)
    try:
        whole = Decimal(exact).to_integral_value() if isinstance(exact, str) else None
    except (InvalidOperation, ValueError):
        return value
    return int(whole) if whole is not None and whole == Decimal(exact) else value


def amount(value: Any) -> Any:
    """``value`` as a decimal text where it is a number or the text of one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    try:
        exact = Decimal(str(value).strip())
    except InvalidOperation:
        return value
    return str(exact) if exact.is_finite() and abs(exact.adjusted()) < 30 else value


def country_in(*values: Any) -> str:
    """The first value that is a code of two letters; empty where none is."""
    found = (v.upper() for v in values if isinstance(v, str) and COUNTRY.fullmatch(v))
    return next(found, "")


def currency_in(*values: Any) -> str | None:
    """The first value that is a code of three letters."""
    found = (v.upper() for v in values if isinstance(v, str) and CURRENCY.fullmatch(v))
    return next(found, None)


def short_text(value: Any) -> str | None:
    """``value`` where the context of an event can hold it."""
    if isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT and not CONTROLS.search(value):
        return value
    return None


def member(value: Any, *path: str) -> Any:
    """What stands at ``path`` in nested objects; None where there is nothing."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def storable(value: Any) -> Any:
    """``value`` without the members, at any depth, whose names say that they identify somebody.

    NUL characters go, too: the database cannot hold them in JSON.
    """
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [storable(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return {
        storable(name): storable(inner)
        for name, inner in value.items()
        if SEPARATORS.sub("", storable(name)).lower() not in PERSONAL
    }
