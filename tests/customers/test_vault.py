from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers import vault
from customers.errors import SealBroken
from customers.identities import normalised
from customers.models import Identity, SubjectKey
from tests.customers.builders import register, somebody

TEXT = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1, max_size=60
)


@given(value=TEXT, pseudonym=st.uuids())
def test_a_sealed_identity_opens_to_its_normalised_value(value: str, pseudonym: UUID):
    key = vault.new_subject_key()
    row = vault.wrapped_key(pseudonym, key)
    sealed = vault.seal_identity(key, pseudonym, "crm_id", value)
    identity = Identity(
        customer_id=pseudonym, kind="crm_id", nonce=sealed.nonce, ciphertext=sealed.ciphertext
    )
    assert vault.open_identity(identity, row) == normalised("crm_id", value)


def test_a_ciphertext_does_not_open_for_another_customer_who_has_the_same_key():
    pseudonym, other, key = uuid4(), uuid4(), vault.new_subject_key()
    sealed = vault.seal_identity(key, pseudonym, "crm_id", "17850")
    moved = Identity(
        customer_id=other, kind="crm_id", nonce=sealed.nonce, ciphertext=sealed.ciphertext
    )
    with pytest.raises(SealBroken):
        vault.open_identity(moved, vault.wrapped_key(other, key))


@given(body=st.binary(max_size=300))
def test_a_sealed_body_opens_to_itself_and_does_not_show_it(body: bytes):
    sealed = vault.seal_body(body)
    assert vault.open_body(sealed) == body
    assert len(body) < 8 or body not in sealed


@given(body=st.binary(max_size=40), position=st.integers(min_value=8), flip=st.integers(1, 255))
def test_a_changed_body_does_not_open(body: bytes, position: int, flip: int):
    sealed = bytearray(vault.seal_body(body))
    sealed[8 + (position - 8) % (len(sealed) - 8)] ^= flip
    with pytest.raises(SealBroken):
        vault.open_body(bytes(sealed))


def test_sealing_the_same_body_twice_gives_different_bytes():
    assert vault.seal_body(b"same") != vault.seal_body(b"same")


def test_an_identity_copied_to_another_customer_or_kind_does_not_open(db):
    pseudonym, other = register(somebody()), register(somebody())
    identity = Identity.objects.get(customer_id=pseudonym)
    keys = {owner: SubjectKey.objects.get(customer_id=owner) for owner in (pseudonym, other)}
    assert vault.open_identity(identity, keys[pseudonym])

    moved_key = SubjectKey(wrapped=keys[pseudonym].wrapped, kek_id=keys[pseudonym].kek_id)
    identity.customer_id = other
    for key in (keys[other], moved_key):
        with pytest.raises(SealBroken):
            vault.open_identity(identity, key)
    identity.customer_id, identity.kind = pseudonym, "phone"
    with pytest.raises(SealBroken):
        vault.open_identity(identity, keys[pseudonym])


def test_every_customer_has_a_key_of_their_own():
    assert vault.new_subject_key() != vault.new_subject_key()
    wrapped = {bytes(vault.wrapped_key(uuid4(), b"k" * 32).wrapped) for _ in range(2)}
    assert len(wrapped) == 2


def test_a_digest_depends_on_kind_and_value_and_on_nothing_in_the_database():
    digests = {
        vault.identity_digest("crm_id", "17850"),
        vault.identity_digest("phone", "17850"),
        vault.identity_digest("crm_id", "17851"),
    }
    assert len(digests) == 3
    assert vault.identity_digest("email", "A@b.de") == vault.identity_digest("email", " a@B.de ")
