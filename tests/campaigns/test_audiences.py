"""Audiences: evaluated once, stored with who was left out and why."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from campaigns.criteria import Criteria
from campaigns.errors import EmptyAudience, InvalidFilter
from campaigns.models import Audience, AudienceMember
from common.canonical_json import sha256_hex
from customers.models import Customer
from ml.timing import TimeToOrder
from tests.builders import DAY
from tests.campaigns.builders import audience, customers
from twins.models import Twin

pytestmark = pytest.mark.django_db


def members(of: Audience) -> set[UUID]:
    return set(of.members.values_list("pseudonym", flat=True))


def remember(pseudonym: UUID, **facts) -> None:
    twin = Twin.objects.get(pseudonym=pseudonym)
    twin.memory |= facts
    twin.save()


def test_without_conditions_everybody_with_a_twin_is_in_and_the_others_are_counted(
    shop: list[UUID],
):
    customers(2)
    Customer.objects.filter(pseudonym=shop[0]).update(status="restricted")
    Customer.objects.filter(pseudonym=shop[1]).update(status="erased")

    everybody = audience()

    assert members(everybody) == set(shop[2:])
    assert everybody.size == 10
    assert everybody.sha256 == sha256_hex(sorted(str(p) for p in shop[2:]))
    assert everybody.left_out == {
        "erased": 1, "restricted": 1, "no_twin": 2, "seen_later": 0, "not_matching": 0,
        "not_sampled": 0,
    }  # fmt: skip


def test_numbers_of_orders_and_spend_are_bounds(shop: list[UUID]):
    for pseudonym in shop[:3]:
        remember(pseudonym, orders=50, spend_cents=1_000_000)
    remember(shop[3], orders=50, spend_cents=2_000_000)

    rich = Criteria(
        orders_at_least=50, spend_at_least=Decimal(10_000), spend_at_most=Decimal(15_000)
    )

    assert members(audience(rich)) == set(shop[:3])


def test_recency_counts_from_the_last_order_to_the_moment_of_the_evaluation(shop: list[UUID]):
    evaluated = audience().evaluated_at
    old = int((evaluated - 40 * DAY).timestamp() * 1000)
    remember(shop[0], last_order_ms=old)
    remember(shop[1], last_order_ms=0)  # never ordered: meets no recency condition

    assert members(audience(Criteria(recency_days_at_least=40))) == {shop[0]}
    assert shop[0] in members(audience(Criteria(recency_days_at_most=40)))
    assert not {shop[0], shop[1]} & members(audience(Criteria(recency_days_at_most=39.9)))


def test_the_moment_is_the_newest_that_a_twin_has_seen_unless_another_is_named(shop: list[UUID]):
    newest = max(Twin.objects.values_list("clock_at", flat=True))

    assert audience().evaluated_at == newest
    assert audience(as_of=newest + DAY).evaluated_at == newest + DAY
    assert audience(as_of=newest - timedelta(seconds=1)).left_out["seen_later"] == 1


def test_the_country_is_that_of_the_customer(shop: list[UUID]):
    Customer.objects.filter(pseudonym=shop[0]).update(country="FR")

    assert members(audience(Criteria(countries=("FR", "DE")))) == {shop[0]}


def test_the_churn_probability_is_that_of_no_order_within_the_days_from_the_evaluation(
    shop: list[UUID],
):
    asked = audience()
    twin = Twin.objects.get(pseudonym=shop[0])
    at_ms = int(asked.evaluated_at.timestamp() * 1_000)
    time = TimeToOrder.of(twin.forecast["time_to_order"])
    churn = 1 - time.probability_within(30, at_ms)

    above = Criteria(
        churn_probability_at_least=churn + 1e-9, churn_days=30, pseudonyms=frozenset(shop)
    )
    around = Criteria(
        churn_probability_at_least=churn - 1e-9,
        churn_probability_at_most=churn + 1e-9,
        churn_days=30,
    )

    assert shop[0] not in members_or_nobody(above)
    assert shop[0] in members(audience(around))


def members_or_nobody(criteria: Criteria) -> set[UUID]:
    try:
        return members(audience(criteria))
    except EmptyAudience:
        return set()


def test_an_explicit_list_is_kept_as_its_hash_and_unknown_people_count_as_erased(shop: list[UUID]):
    stranger = uuid4()
    listed = audience(Criteria(pseudonyms=frozenset([shop[0], shop[1], stranger])))

    assert members(listed) == {shop[0], shop[1]}
    assert listed.left_out["erased"] == 1
    assert listed.criteria["pseudonyms"]["count"] == 3
    assert str(shop[0]) not in str(listed.criteria)


def test_a_sample_is_the_same_for_the_same_seed_and_another_for_another(shop: list[UUID]):
    def chosen(seed: int) -> set[UUID]:
        return members(audience(Criteria(sample=6, sample_seed=seed)))

    assert len(chosen(1)) == 6
    assert chosen(1) == chosen(1)
    assert len({frozenset(chosen(seed)) for seed in range(5)}) > 1
    assert members(audience(Criteria(sample=3, sample_seed=1))) < chosen(1)


def test_an_empty_audience_is_an_error_that_says_why_and_stores_nothing(shop: list[UUID]):
    customers(1)

    with pytest.raises(EmptyAudience, match=r"nobody is left of 13 .*1 no twin, 12 not matching"):
        audience(Criteria(orders_at_least=10_000))

    assert not Audience.objects.exists()
    assert not AudienceMember.objects.exists()


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        (Criteria(sample=0), "sample is 0, expected 1 to"),
        (Criteria(churn_probability_at_most=1.5), "churn_probability_at_most is 1.5"),
        (Criteria(recency_days_at_most=float("nan")), "recency_days_at_most is nan"),
        (Criteria(spend_at_least=Decimal(9), spend_at_most=Decimal(8)), "at most spend_at_most"),
        (Criteria(pseudonyms=frozenset()), "a list of 0, expected 1 to 50000"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(
    shop: list[UUID], criteria: Criteria, message: str
):
    with pytest.raises(InvalidFilter, match=message):
        audience(criteria)
