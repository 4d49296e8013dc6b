"""What the outside world calls a customer, in the one spelling that is stored and compared."""

import re
import unicodedata
from dataclasses import dataclass

from customers.errors import InvalidIdentity

IdentityKey = tuple[str, str]
"""Kind and value of an identity, as somebody wrote them."""

KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")
LONGEST = 500
EMAIL = "email"
PSEUDONYM = "pseudonym"  # reserved: under this kind a suppression remembers an erased pseudonym


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """Somebody who is to be registered under one identity."""

    kind: str
    value: str
    country: str = ""

    @property
    def key(self) -> IdentityKey:
        return self.kind, self.value


def normalised(kind: str, value: str) -> str:
    """``value`` in the spelling that is digested; the same for all ways to write one identity.

    Outer white space goes, composed and decomposed letters become one form, and e-mail addresses
    lose their case. Normalising again changes nothing.

    Raises:
        InvalidIdentity: the kind is malformed, or nothing usable is left of the value.
    """
    if not KIND.fullmatch(kind) or kind == PSEUDONYM:
        raise InvalidIdentity(kind=kind[:60], problem="has a kind that is malformed or reserved")
    spelled = unicodedata.normalize("NFC", value.strip())
    if kind == EMAIL:
        # Lower case may decompose a letter, so the composed form is taken once more.
        spelled = unicodedata.normalize("NFC", spelled.lower())
    _refuse_unusable(kind, spelled)
    return spelled


def _refuse_unusable(kind: str, value: str) -> None:
    if not value:
        raise InvalidIdentity(kind=kind, problem="is empty")
    if len(value) > LONGEST:
        raise InvalidIdentity(kind=kind, problem=f"has {len(value)} characters")
    # Controls and lone surrogates: no system writes them into a name, and not all can store them.
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise InvalidIdentity(kind=kind, problem="holds a control character or half a character")
