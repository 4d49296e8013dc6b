"""Receipts: what was erased, signed with Ed25519, checked by anybody without asking us.

Offline, with jq and OpenSSL::

    jq -jcS .body receipt.json > body
    jq -j .signature receipt.json | base64 -d > signature
    jq -r .public_key receipt.json > key.pem
    openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in body -sigfile signature

A receipt carries the public key to check it with. Whoever relies on a receipt compares that key
with one that reached them by another way.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from django.conf import settings

from common import canonical_json
from customers.errors import KeyFileDamaged
from customers.keyfiles import read_or_create

ALGORITHM = "Ed25519"


def signed(body: dict[str, Any]) -> dict[str, Any]:
    """``body`` with a signature over its canonical JSON, and the key to check it."""
    key = _signing_key()
    return {
        "body": body,
        "algorithm": ALGORITHM,
        "public_key": _pem(key.public_key()),
        "signature": base64.b64encode(key.sign(canonical_json.dumps(body))).decode(),
    }


def verify_receipt(receipt: Mapping[str, Any], *, public_key: str | None = None) -> bool:
    """Whether the body is as it was signed, under ``public_key`` (PEM) where one is given."""
    try:
        named = str(receipt["public_key"])
        key = load_pem_public_key(named.encode())
        signature = base64.b64decode(receipt["signature"], validate=True)
        if not isinstance(key, Ed25519PublicKey) or receipt["algorithm"] != ALGORITHM:
            return False
        key.verify(signature, canonical_json.dumps(receipt["body"]))
    except (KeyError, TypeError, ValueError, binascii.Error):
        return False
    except (InvalidSignature, UnsupportedAlgorithm):
        return False
    return public_key is None or public_key.strip() == named.strip()


def own_public_key() -> str:
    """The public key of this installation's receipts, as PEM."""
    return _pem(_signing_key().public_key())


def _signing_key() -> Ed25519PrivateKey:
    path = settings.DTOC_SIGNING_KEY_FILE
    content = read_or_create(path, make=_fresh)
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileDamaged(path=path, problem="does not hold a private key in PEM") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileDamaged(path=path, problem=f"holds a key that is not {ALGORITHM}")
    return key


def _fresh() -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _pem(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
