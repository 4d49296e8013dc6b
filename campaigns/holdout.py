"""Who is held out: keyed hashes of ids, so that it can be recomputed and foreseen by nobody.

The key is derived from the vault's key-encryption key. Without it nobody can tell from a
pseudonym in which arm it will be, or choose customers so that an arm comes out well.
"""

import hashlib
import hmac
from typing import Literal
from uuid import UUID

from customers.vault import key_provider

Arm = Literal["treatment", "control"]

PURPOSE = "hold-out"
BITS = 53  # what a float holds exactly, so that no share rounds up to 1


def arm_of(campaign_id: UUID, pseudonym: UUID, holdout_share: float) -> Arm:
    """The arm of a customer in every launch of a campaign, whatever else is launched or when.

    Raising the share moves customers to the control only, lowering it moves them out only.
    """
    return "control" if campaign_place(campaign_id, pseudonym) < holdout_share else "treatment"


def in_global_holdout(pseudonym: UUID, share: float) -> bool:
    """Whether a customer is kept out of every campaign."""
    return global_place(pseudonym) < share


def campaign_place(campaign_id: UUID, pseudonym: UUID) -> float:
    """Uniform in [0, 1) over customers, and independent from campaign to campaign."""
    return _place(b"campaign\0" + campaign_id.bytes + pseudonym.bytes)


def global_place(pseudonym: UUID) -> float:
    """Uniform in [0, 1) over customers, and independent of their places in campaigns."""
    return _place(b"global\0" + pseudonym.bytes)


def _place(message: bytes) -> float:
    key = key_provider().derived_key(PURPOSE)
    digest = hmac.new(key, message, hashlib.sha256).digest()
    return float((int.from_bytes(digest[:8], "big") >> (64 - BITS)) / 2**BITS)
