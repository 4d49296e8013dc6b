"""What a scan looks for, and how it recognises it in bytes."""

import base64
import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote
from uuid import UUID

from customers.erasure import Needles
from customers.identities import IdentityKey

PSEUDONYM, VALUE, DIGEST = "pseudonym", "identity value", "digest"

UUID_TEXT = r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"
SURE_LENGTH = 9
# The end of another word, or a JSON escape such as \n, whose letter belongs to no word.
BEFORE = r"(^|[^[:alnum:]]|\\[bfnrt])"
# Up to 30 characters that are no letter or digit, with at most the word "value" among them: what
# stands between kind and value in JSON, in a query string and in most log lines.
BETWEEN = r"[^[:alnum:]]{1,15}(?:value[^[:alnum:]]{1,15})?"


@dataclass(frozen=True)
class Sought:
    """An erased person as a scan can recognise them.

    While the erasure runs, everything is known. Afterwards the pseudonym is known by its SHA-256
    only, so that every UUID anywhere is hashed and compared; identity values are known to nobody
    but the person, and are searched for where somebody names them again.
    """

    pseudonym_sha256: str
    pseudonym: UUID | None
    identities: tuple[IdentityKey, ...]  # normalised
    digests: tuple[bytes, ...]
    values_unknown: int = 0  # identities that the person had and whose values we cannot name
    own_request: UUID | None = None  # its row may still hold the pseudonym

    def needles(self) -> Needles | None:
        """For the stores' own scans, which need the pseudonym."""
        if self.pseudonym is None:
            return None
        values = tuple(value for _, value in self.identities)
        return Needles(pseudonym=self.pseudonym, values=values, digests=self.digests)

    def searched_for(self) -> list[str]:
        how = "by its SHA-256, in every UUID" if self.pseudonym is None else "as text and as bytes"
        lines = [f"the pseudonym, {how}", f"{len(self.digests)} digests"]
        sure = sum(is_sure(value) for _, value in self.identities)
        if sure:
            lines.append(f"{sure} identity values, anywhere")
        if len(self.identities) > sure:
            lines.append(f"{len(self.identities) - sure} short identity values, beside their kind")
        return lines

    def blind_spots(self) -> list[str]:
        """What this scan cannot find; the receipt says so."""
        lines = ["anything inside compressed or encrypted content"]
        if self.pseudonym is None:
            lines.append("the pseudonym as 16 raw bytes inside longer binary values")
        if self.values_unknown:
            lines.append(f"{self.values_unknown} identity values that are no longer known")
        if any(not is_sure(value) for _, value in self.identities):
            lines.append("short identity values that stand without their kind")
        return lines

    @cached_property
    def pseudonym_texts(self) -> list[str]:
        return [str(self.pseudonym), self.pseudonym.hex] if self.pseudonym else []

    @cached_property
    def digest_texts(self) -> list[str]:
        """Hexadecimal and base64, in lower case: everything is compared in lower case."""
        encoded = [base64.b64encode(digest).decode().rstrip("=") for digest in self.digests]
        return [digest.hex() for digest in self.digests] + [text.lower() for text in encoded]

    @cached_property
    def value_pattern(self) -> str | None:
        """A pattern that PostgreSQL and Python read alike; None where no value is known."""
        found = [pattern for key in self.identities for pattern in _patterns(*key)]
        return f"{BEFORE}({'|'.join(found)})($|[^[:alnum:]])" if found else None

    def count_in(self, content: bytes) -> Counter[str]:
        """Which of the things sought occur in ``content``: 1 each, not how often."""
        # Latin-1 reads any bytes; UTF-8 text is compared in its bytes.
        text = content.lower().decode("latin-1")
        found: Counter[str] = Counter()
        found[PSEUDONYM] += self._has_pseudonym(content, text)
        found[DIGEST] += any(digest in content for digest in self.digests) or any(
            digest in text for digest in self.digest_texts
        )
        if self._bytes_pattern is not None:
            found[VALUE] += self._bytes_pattern.search(text) is not None
        return +found

    def _has_pseudonym(self, content: bytes, text: str) -> bool:
        if self.pseudonym is not None:
            named = any(name in text for name in self.pseudonym_texts)
            return named or self.pseudonym.bytes in content
        return any(self._is_it(UUID(found[0])) for found in re.finditer(UUID_TEXT, text))

    def _is_it(self, candidate: UUID) -> bool:
        return sha256_of(candidate) == self.pseudonym_sha256

    @cached_property
    def _bytes_pattern(self) -> re.Pattern[str] | None:
        if self.value_pattern is None:
            return None
        latin = self.value_pattern.encode().decode("latin-1").replace("[^[:alnum:]]", "[^a-z0-9]")
        return re.compile(latin)


def sha256_of(pseudonym: UUID) -> str:
    """The SHA-256 of a pseudonym's 16 bytes: a random UUID cannot be guessed back from it."""
    return hashlib.sha256(pseudonym.bytes).hexdigest()


def is_sure(value: str) -> bool:
    """Whether a value is long enough never to occur by chance.

    A customer number like 17003 is also an article number and a price; alone it proves nothing.
    """
    return "@" in value or len(value) >= SURE_LENGTH


def _patterns(kind: str, value: str) -> list[str]:
    """How one identity may be written: plainly, in JSON with or without escapes, in a URL."""
    # A database or a byte string may know no lower case beyond ASCII, so both forms are sought.
    lowered = {value.lower(), value.encode().lower().decode()}
    spellings = {spelling for form in lowered for spelling in _spellings(form)}
    escaped = sorted(_SPECIAL.sub(r"\\\g<0>", spelling) for spelling in spellings)
    if is_sure(value):
        return escaped
    return [f"{kind}{BETWEEN}{spelling}" for spelling in escaped]


def _spellings(value: str) -> set[str]:
    as_json = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return {value, quote(value).lower(), *as_json}


_SPECIAL = re.compile(r"[.^$*+?()\[\]{}|\\]")
