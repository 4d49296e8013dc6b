"""What was shown becomes an exposure and an event; what was not shown leaves no trace of either."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from campaigns.decisions.errors import (
    AlreadyReported,
    CustomerRestricted,
    InvalidReport,
    NothingToReport,
    UnknownDecision,
)
from campaigns.ledger import customer_exposures
from campaigns.models import Exposure
from campaigns.services import ProductFacts, report_outcome, store_products
from customers.errors import UnknownCustomer
from customers.models import Customer
from events.models import Event
from events.selectors import events_after
from tests.campaigns.decisions import AT, DAY, HOUR, WEAK, a_campaign, decided, live
from twins.models import Twin

pytestmark = pytest.mark.django_db


def offers_told(who: UUID) -> list[dict]:
    found = Event.objects.filter(stream=who, type="offer_assigned").order_by("version")
    return list(found.values_list("data", flat=True))


@pytest.mark.parametrize("arm", ["treatment", "control"])
def test_what_was_shown_is_an_exposure_and_an_event_in_either_arm(
    agreeing: list[UUID], monkeypatch: pytest.MonkeyPatch, arm: str
):
    monkeypatch.setattr("campaigns.decisions.choosing.arm_of", lambda *_: arm)
    offer = live(a_campaign(offer_days=7))
    decision = decided(agreeing[0])
    assert decision.arm == arm

    report_outcome(decision_id=decision.id, outcome="shown", at=AT + HOUR, shown_at=AT)

    (exposure,) = customer_exposures(agreeing[0])
    assert (exposure.arm, exposure.live_offer_id, exposure.decision, exposure.assigned_at) == (
        arm, offer.id, decision.id, AT,
    )  # fmt: skip
    assert exposure.campaign_id == offer.campaign_id
    assert exposure.launch_id is None
    (told,) = offers_told(agreeing[0])
    assert told == {
        "offer_id": str(offer.id), "campaign_id": str(offer.campaign_id), "kind": "discount",
        "depth": "0.1", "valid_from": "2011-05-02T12:00:00Z",
        "valid_until": "2011-05-09T12:00:00Z", "arm": arm,
    } | {name: None for name in ("sku", "category") if name in told}  # fmt: skip


def test_an_offer_for_some_products_is_told_for_each_that_was_in_stock(agreeing: list[UUID]):
    items = [item["sku"] for item in Twin.objects.get(pseudonym=agreeing[0]).forecast["top_items"]]
    store_products(facts=[ProductFacts(sku=items[1], stock=0)], at=AT)
    live(skus=items[:3])

    report_outcome(decision_id=decided(agreeing[0]).id, outcome="shown", at=AT + HOUR)

    assert [told["sku"] for told in offers_told(agreeing[0])] == [items[0], items[2]]
    assert events_after({agreeing[0]: 0})[-1].data.sku == items[2]  # it can be read back
    assert Exposure.objects.count() == 1


def test_what_was_not_shown_leaves_the_decision_alone(agreeing: list[UUID]):
    live()
    decision = decided(agreeing[0])

    reported = report_outcome(decision_id=decision.id, outcome="not_shown", at=AT + HOUR)

    assert (reported.outcome, reported.outcome_at, reported.reported_at) == (
        "not_shown", AT + HOUR, AT + HOUR,
    )  # fmt: skip
    assert not Exposure.objects.exists()
    assert not offers_told(agreeing[0])


@pytest.mark.parametrize("outcome", ["shown", "not_shown"])
def test_reported_again_it_is_the_same_and_another_outcome_is_refused(
    agreeing: list[UUID], outcome: str
):
    live()
    decision = decided(agreeing[0])
    first = report_outcome(decision_id=decision.id, outcome=outcome, at=AT + HOUR)

    again = report_outcome(decision_id=decision.id, outcome=outcome, at=AT + 2 * HOUR)

    assert again.reported_at == first.reported_at
    assert len(offers_told(agreeing[0])) == Exposure.objects.count() == (outcome == "shown")
    (other,) = {"shown", "not_shown"} - {outcome}
    with pytest.raises(AlreadyReported):
        report_outcome(decision_id=decision.id, outcome=other, at=AT + 2 * HOUR)


def test_a_late_report_of_what_was_shown_is_taken(agreeing: list[UUID]):
    live()
    decision = decided(agreeing[0])

    report_outcome(decision_id=decision.id, outcome="shown", at=AT + 9 * DAY, shown_at=AT + HOUR)

    assert Exposure.objects.get().assigned_at == AT + HOUR


@pytest.mark.parametrize("shown_at", [AT - HOUR, AT + 2 * HOUR])
def test_nothing_was_shown_before_it_was_decided_or_is_going_to_be(agreeing: list[UUID], shown_at):
    live()
    decision = decided(agreeing[0])

    with pytest.raises(InvalidReport):
        report_outcome(decision_id=decision.id, outcome="shown", at=AT + HOUR, shown_at=shown_at)
    assert not Exposure.objects.exists()


def test_where_no_offer_was_made_or_held_back_there_is_nothing_to_report(agreeing: list[UUID]):
    live(response=WEAK)
    decision = decided(agreeing[0])

    with pytest.raises(NothingToReport):
        report_outcome(decision_id=decision.id, outcome="shown", at=AT + HOUR)


def test_an_unknown_decision_and_one_of_a_restricted_or_erased_customer_are_refused(
    agreeing: list[UUID],
):
    live()
    decision = decided(agreeing[0])

    with pytest.raises(UnknownDecision):
        report_outcome(decision_id=uuid4(), outcome="shown", at=AT + HOUR)
    for status, error in (("restricted", CustomerRestricted), ("erased", UnknownCustomer)):
        Customer.objects.filter(pseudonym=agreeing[0]).update(status=status)
        with pytest.raises(error):
            report_outcome(decision_id=decision.id, outcome="shown", at=AT + HOUR)
    assert not Exposure.objects.exists()


def test_each_decision_that_was_shown_is_an_exposure_of_its_own(agreeing: list[UUID]):
    live()
    first, second = decided(agreeing[0]), decided(agreeing[0], AT + HOUR)

    for decision in (first, second):
        report_outcome(decision_id=decision.id, outcome="shown", at=AT + 2 * HOUR)

    assert set(Exposure.objects.values_list("decision", flat=True)) == {first.id, second.id}
    assert {Decimal(told["depth"]) for told in offers_told(agreeing[0])} == {Decimal("0.1")}
