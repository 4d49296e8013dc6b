"""The vault: identities encrypted with a key per person, found by a keyed digest.

A ciphertext is bound to the pseudonym and the kind it was made for, so that a row that was copied
to another customer does not open there. Destroying a customer's key makes the ciphertexts
unreadable. A backup of the database holds the wrapped key too, so whoever restores one
has to erase again what was erased since.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from customers.errors import SealBroken, WrongKey
from customers.identities import PSEUDONYM, normalised
from customers.keys import KEY_BYTES, NONCE_BYTES, FileKeyProvider, KeyProvider
from customers.models import Identity, SubjectKey, Suppression

BODY = "sealed body"


@dataclass(frozen=True, slots=True)
class SealedIdentity:
    """An identity as it is stored: a nonce and a ciphertext under the subject's key."""

    nonce: bytes
    ciphertext: bytes


@cache
def key_provider() -> KeyProvider:
    """The provider of this process, which reads its files once.

    A missing key file is made anew only while the vault is empty: a fresh key beside old data would
    hide the loss until nobody could be found any more.
    """
    return FileKeyProvider(
        settings.DTOC_KEK_FILE, settings.DTOC_LOOKUP_KEY_FILE, may_create=_is_empty
    )


def identity_digest(kind: str, value: str) -> bytes:
    """HMAC-SHA-256 of kind and normalised value: equal for equal identities, useless without key.

    Raises:
        InvalidIdentity: the identity is malformed.
    """
    return _digest(kind, normalised(kind, value))


def pseudonym_digest(pseudonym: UUID) -> bytes:
    """The digest under which a suppression remembers an erased pseudonym."""
    return _digest(PSEUDONYM, str(pseudonym))


def new_subject_key() -> bytes:
    return AESGCM.generate_key(KEY_BYTES * 8)


def wrapped_key(pseudonym: UUID, key: bytes) -> SubjectKey:
    """The unsaved row that keeps ``key`` for one customer."""
    provider = key_provider()
    wrapped = provider.wrap(key, pseudonym.bytes)
    return SubjectKey(customer_id=pseudonym, wrapped=wrapped, kek_id=provider.kek_id)


def unwrapped_key(subject_key: SubjectKey, pseudonym: UUID) -> bytes:
    """The plain key of the customer ``pseudonym``.

    Raises:
        WrongKey: the key-encryption key at hand is another one.
        SealBroken: the wrapped key was changed, or belongs to another customer.
    """
    return key_provider().unwrap(
        bytes(subject_key.wrapped), kek_id=subject_key.kek_id, context=pseudonym.bytes
    )


def seal_identity(key: bytes, pseudonym: UUID, kind: str, value: str) -> SealedIdentity:
    """The normalised value, encrypted for this customer and kind."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    plain = normalised(kind, value).encode()
    return SealedIdentity(nonce, AESGCM(key).encrypt(nonce, plain, _bound_to(pseudonym, kind)))


def open_identity(identity: Identity, subject_key: SubjectKey) -> str:
    """The plain value of one identity.

    Raises:
        WrongKey: the key-encryption key at hand is another one.
        SealBroken: key or ciphertext were changed, or belong to another customer or kind.
    """
    pseudonym = identity.customer_id
    key = unwrapped_key(subject_key, pseudonym)
    bound = _bound_to(pseudonym, identity.kind)
    try:
        plain = AESGCM(key).decrypt(bytes(identity.nonce), bytes(identity.ciphertext), bound)
    except InvalidTag:
        raise SealBroken(what="identity") from None
    return plain.decode()


def open_identities(pseudonym: UUID) -> Sequence[tuple[str, str]]:
    """Kinds and plain values of all identities of one customer."""
    key = SubjectKey.objects.filter(customer_id=pseudonym).first()
    if key is None:
        return []
    identities = Identity.objects.filter(customer_id=pseudonym).order_by("id")
    return [(identity.kind, open_identity(identity, key)) for identity in identities]


def seal_body(plain: bytes) -> bytes:
    """``plain`` encrypted under a key derived from the key-encryption key: key id, nonce, text."""
    provider = key_provider()
    nonce = secrets.token_bytes(NONCE_BYTES)
    kek_id = bytes.fromhex(provider.kek_id)
    return kek_id + nonce + AESGCM(provider.derived_key(BODY)).encrypt(nonce, plain, kek_id)


def open_body(sealed: bytes) -> bytes:
    """What ``seal_body`` sealed.

    Raises:
        WrongKey: it was sealed under another key-encryption key.
        SealBroken: it was changed.
    """
    provider = key_provider()
    kek_id, nonce, text = sealed[:8], sealed[8 : 8 + NONCE_BYTES], sealed[8 + NONCE_BYTES :]
    if kek_id.hex() != provider.kek_id:
        raise WrongKey(expected=kek_id.hex(), actual=provider.kek_id)
    try:
        return AESGCM(provider.derived_key(BODY)).decrypt(nonce, text, kek_id)
    except (InvalidTag, ValueError):
        raise SealBroken(what="body") from None


def _digest(kind: str, value: str) -> bytes:
    # No kind holds a NUL, so no two pairs of kind and value are digested as the same bytes.
    message = kind.encode() + b"\0" + value.encode()
    return hmac.new(key_provider().lookup_key(), message, hashlib.sha256).digest()


def _bound_to(pseudonym: UUID, kind: str) -> bytes:
    return pseudonym.bytes + kind.encode()


def _is_empty() -> bool:
    return not SubjectKey.objects.exists() and not Suppression.objects.exists()
