"""Who is held out: laws of the keyed hash."""

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.holdout import arm_of, campaign_place, global_place, in_global_holdout
from customers import vault
from customers.keys import FileKeyProvider

SPRING, AUTUMN = UUID(int=1), UUID(int=2)
CROWD = [UUID(int=10_000 + number) for number in range(20_000)]  # neighbours: the hash spreads them


@pytest.fixture(autouse=True)
def a_key(tmp_path_factory, monkeypatch):
    folder: Path = tmp_path_factory.mktemp("keys")
    provider = FileKeyProvider(folder / "kek", folder / "lookup")
    monkeypatch.setattr("campaigns.holdout.key_provider", lambda: provider)
    return provider


def controls(campaign: UUID, share: float, crowd: list[UUID]) -> set[UUID]:
    return {who for who in crowd if arm_of(campaign, who, share) == "control"}


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_the_share_of_the_control_is_near_the_share_asked_for(share: float):
    found = len(controls(SPRING, share, CROWD)) / len(CROWD)

    assert abs(found - share) < 5 * (share * (1 - share) / len(CROWD)) ** 0.5


def test_nobody_is_held_out_at_share_0():
    assert not controls(SPRING, 0.0, CROWD)
    assert not any(in_global_holdout(who, 0.0) for who in CROWD)


def test_another_campaign_assigns_independently_and_so_does_the_global_holdout():
    spring, autumn = controls(SPRING, 0.5, CROWD), controls(AUTUMN, 0.5, CROWD)
    kept_out = {who for who in CROWD if in_global_holdout(who, 0.5)}

    for one, other in ((spring, autumn), (spring, kept_out)):
        assert abs(len(one & other) / len(CROWD) - 0.25) < 0.02


@settings(max_examples=50, deadline=None)
@given(
    crowd=st.lists(st.uuids(), unique=True, max_size=60),
    campaign=st.uuids(),
    share=st.floats(0, 0.9),
    data=st.data(),
)
def test_an_arm_depends_on_neither_order_nor_batch(crowd, campaign, share, data):
    cut = data.draw(st.integers(0, len(crowd)))
    shuffled = data.draw(st.permutations(crowd))

    whole = controls(campaign, share, crowd)

    assert controls(campaign, share, shuffled[:cut]) | controls(
        campaign, share, shuffled[cut:]
    ) == whole  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(campaign=st.uuids(), who=st.uuids(), shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_larger_share_only_moves_customers_into_the_control(campaign, who, shares):
    small, large = sorted(shares)

    if arm_of(campaign, who, small) == "control":
        assert arm_of(campaign, who, large) == "control"
    assert 0 <= campaign_place(campaign, who) < 1
    assert 0 <= global_place(who) < 1


def test_without_the_key_nobody_can_foresee_an_arm(a_key, tmp_path: Path, monkeypatch):
    before = [campaign_place(SPRING, who) for who in CROWD[:50]]
    other = FileKeyProvider(tmp_path / "kek", tmp_path / "lookup")

    monkeypatch.setattr("campaigns.holdout.key_provider", lambda: other)
    after = [campaign_place(SPRING, who) for who in CROWD[:50]]

    assert not set(before) & set(after)
    assert a_key.derived_key("hold-out") not in (a_key.lookup_key(), a_key.derived_key(vault.BODY))
