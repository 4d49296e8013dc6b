"""Where the vault's keys come from: an interface, and the provider that keeps them in files."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from customers.errors import KeyFileDamaged, SealBroken, WrongKey
from customers.keyfiles import read_or_create

KEY_BYTES = 32
NONCE_BYTES = 12
MARK = "dtoc-key-1"


class KeyProvider(Protocol):
    """Wraps and unwraps keys under a key-encryption key that never leaves the provider."""

    @property
    def kek_id(self) -> str:
        """Names the key in use; 16 hexadecimal digits, and nothing about the key itself."""

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """``key`` encrypted; unwraps only with the same ``context``."""

    def unwrap(self, wrapped: bytes, *, kek_id: str, context: bytes) -> bytes:
        """The key that was wrapped.

        Raises:
            WrongKey: it was wrapped under another key than ours.
            SealBroken: it was changed, or the context is another.
        """

    def derived_key(self, purpose: str) -> bytes:
        """A key of its own for ``purpose``, the same each time."""

    def lookup_key(self) -> bytes:
        """The key of the identity digests; apart from the key-encryption key."""


class FileKeyProvider:
    """Keys in two files, made at first use: one to encrypt, one to look up.

    Whoever loses the first loses every identity in the vault; whoever loses the second can find
    nobody by identity any more, nor recognise the erased. Back up both, away from the database.
    """

    def __init__(
        self, kek_file: Path, lookup_file: Path, *, may_create: Callable[[], bool] = lambda: True
    ) -> None:
        self._kek_file = kek_file
        self._lookup_file = lookup_file
        self._may_create = may_create
        self._derived: dict[str, bytes] = {}

    @cached_property
    def kek_id(self) -> str:
        return hmac.new(self._kek, b"dtoc kek id", hashlib.sha256).hexdigest()[:16]

    def wrap(self, key: bytes, context: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + AESGCM(self._kek).encrypt(nonce, key, context)

    def unwrap(self, wrapped: bytes, *, kek_id: str, context: bytes) -> bytes:
        if kek_id != self.kek_id:
            raise WrongKey(expected=kek_id, actual=self.kek_id)
        try:
            return AESGCM(self._kek).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise SealBroken(what="key") from None

    def derived_key(self, purpose: str) -> bytes:
        if purpose not in self._derived:
            info = b"dtoc:" + purpose.encode()
            kdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info)
            self._derived[purpose] = kdf.derive(self._kek)
        return self._derived[purpose]

    def lookup_key(self) -> bytes:
        return self._lookup

    @cached_property
    def _kek(self) -> bytes:
        return self._key_in(self._kek_file)

    @cached_property
    def _lookup(self) -> bytes:
        return self._key_in(self._lookup_file)

    def _key_in(self, path: Path) -> bytes:
        return parsed(path, read_or_create(path, make=fresh, may_create=self._may_create))


def fresh() -> bytes:
    """The content of a new key file: a mark, a random key, and a check against damage."""
    key = secrets.token_bytes(KEY_BYTES)
    return f"{MARK} {base64.b64encode(key).decode()} {_check(key)}\n".encode()


def parsed(path: Path, content: bytes) -> bytes:
    """The key in a key file.

    Raises:
        KeyFileDamaged: the content is not one that ``fresh`` wrote.
    """
    try:
        mark, encoded, check = content.decode("ascii").split()
        key = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise KeyFileDamaged(path=path, problem="does not hold a key") from None
    if mark != MARK or len(key) != KEY_BYTES or check != _check(key):
        raise KeyFileDamaged(path=path, problem="holds a key that fails its check") from None
    return key


def _check(key: bytes) -> str:
    return hmac.new(key, b"dtoc key check", hashlib.sha256).hexdigest()[:8]
