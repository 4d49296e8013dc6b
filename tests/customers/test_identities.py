import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.errors import InvalidIdentity
from customers.identities import normalised

KINDS = st.sampled_from(["email", "crm_id", "phone"])


@given(kind=KINDS, value=st.text(max_size=80))
def test_normalising_twice_changes_nothing_more(kind: str, value: str):
    try:
        once = normalised(kind, value)
    except InvalidIdentity:
        return
    assert normalised(kind, once) == once


def test_an_email_address_is_the_same_in_any_case_and_with_white_space_around_it():
    assert normalised("email", "  Ada@Example.ORG\n") == normalised("email", "ada@example.org")


def test_a_crm_id_keeps_its_case():
    assert normalised("crm_id", " aB7 ") == "aB7"


def test_a_letter_is_the_same_whether_composed_or_decomposed():
    assert normalised("email", "jose\u0301@example.org") == normalised(
        "email", "jos\u00e9@example.org"
    )


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("email", "   "),
        ("email", "a\x00b"),
        ("email", "\ud800"),
        ("email", "x" * 501),
        ("Email", "a"),
        ("", "a"),
        ("pseudonym", "a"),
    ],
)
def test_an_unusable_identity_is_refused_without_repeating_its_value(kind: str, value: str):
    with pytest.raises(InvalidIdentity) as caught:
        normalised(kind, value)
    assert "value" not in caught.value.fields
