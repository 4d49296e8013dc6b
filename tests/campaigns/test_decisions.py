"""The next best action: what is chosen, what forbids it, and what is stored of it."""

from decimal import Decimal
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from campaigns.decisions.errors import CustomerRestricted
from campaigns.holdout import arm_of, campaign_place, global_place
from campaigns.models import Decision, Exposure
from campaigns.services import (
    ProductFacts,
    close_live_offer,
    forget_decisions,
    report_outcome,
    store_products,
)
from common.clock import now
from customers.errors import UnknownCustomer
from customers.models import Customer
from customers.services import request_erasure, run_erasure
from events.models import Event
from tests.campaigns.builders import customers
from tests.campaigns.decisions import (
    AT,
    DAY,
    HOUR,
    WEAK,
    a_campaign,
    agrees,
    decided,
    live,
    reasons,
    unsubscribes,
    withdraws,
)
from tests.campaigns.launches import halved, running, simulated
from tests.events.builders import in_other_connection
from twins.errors import NoActiveModel, TwinNotAdvanced
from twins.models import ModelVersion, Twin

pytestmark = pytest.mark.django_db


def test_the_offer_that_adds_most_is_chosen_and_the_others_say_why_not(agreeing: list[UUID]):
    best = live(a_campaign("Best"))
    less = live(a_campaign("Less"), depth=Decimal("0.05"))
    none = live(a_campaign("None"), response=WEAK)

    decision = decided(agreeing[0])

    assert (decision.arm, decision.reason, decision.live_offer_id) == (
        "treatment", "chosen", best.id,
    )  # fmt: skip
    assert reasons(decision) == {
        str(best.id): "chosen", str(less.id): "runner_up", str(none.id): "no_gain",
    }  # fmt: skip
    means = [Decimal(one["expected_margin"]["mean"]) for one in decision.candidates]
    assert means == sorted(means, reverse=True)
    assert means[1] > 0 > means[2]
    assert decision.words.startswith("Best adds ")


def test_the_decision_keeps_what_it_rests_on(agreeing: list[UUID], version: ModelVersion):
    live()

    decision = Decision.objects.get(id=decided(agreeing[0], channel="web").id)

    twin = Twin.objects.get(pseudonym=agreeing[0])
    assert decision.model_version == version.id
    assert decision.twin["model"]["sha256"] == version.sha256
    assert decision.stream_version == twin.stream_version
    assert 0 < decision.twin["order_within_90_days"] < 1
    assert decision.rules["channel"] == "web"
    assert decision.rules["marketing_consent"] is True
    assert decision.show_until == AT + DAY
    (candidate,) = decision.candidates
    margin = candidate["expected_margin"]
    low, mean, high = (Decimal(margin[end]) for end in ("low", "mean", "high"))
    assert low < mean < high
    assert candidate["expected_orders"]["with"] > candidate["expected_orders"]["without"] > 0


def test_an_offer_that_costs_more_than_it_brings_is_not_made(agreeing: list[UUID]):
    live(response=WEAK)

    decision = decided(agreeing[0])

    assert (decision.arm, decision.reason, decision.exposure_id) == ("", "no_gain", None)
    assert decision.live_offer_id is None


def test_a_contact_that_costs_more_than_the_offer_brings_is_not_made(agreeing: list[UUID]):
    cheap = live()
    gain = Decimal(decided(agreeing[0]).candidates[0]["expected_margin"]["mean"])
    close_live_offer(live_offer_id=cheap.id, at=AT)
    live(a_campaign("Letter", contact_cost=gain + 1))

    decision = decided(agreeing[0])

    assert decision.reason == "no_gain"
    assert Decimal(decision.candidates[0]["expected_margin"]["mean"]) == -1


def test_without_an_open_offer_there_is_none_and_that_is_no_error(agreeing: list[UUID]):
    closed = live()
    close_live_offer(live_offer_id=closed.id, at=AT - HOUR)
    live(starts_at=AT + HOUR)
    live(ends_at=AT)

    decision = decided(agreeing[0])

    assert (decision.reason, decision.arm, decision.candidates) == ("no_open_offer", "", [])
    assert decision.twin is None


@pytest.mark.parametrize(
    ("say", "reason"),
    [
        (lambda who: None, "no_marketing_consent"),
        (withdraws, "marketing_withdrawn"),
        (lambda who: (agrees(who), withdraws(who, at=AT - HOUR)), "marketing_withdrawn"),
        (lambda who: (agrees(who), withdraws(who, purpose="profiling")), "profiling_withdrawn"),
        (lambda who: (agrees(who), unsubscribes(who, "web", AT - HOUR)), "unsubscribed"),
    ],
)
def test_what_the_customer_said_forbids_every_offer_and_the_twin_is_not_asked(
    shop: list[UUID], say, reason: str
):
    offer = live()
    say(shop[0])

    decision = decided(shop[0], channel="web")

    assert (decision.reason, decision.arm) == (reason, "")
    assert reasons(decision) == {str(offer.id): reason}
    assert decision.candidates[0]["expected_margin"] is None
    assert decision.twin is None
    assert decision.model_version is None


@pytest.mark.parametrize(
    "say",
    [
        lambda who: (withdraws(who), agrees(who, at=AT - HOUR)),
        lambda who: (agrees(who, at=AT - HOUR), withdraws(who)),  # told late, said before
        lambda who: (agrees(who), withdraws(who, purpose="training")),
        lambda who: (agrees(who), unsubscribes(who, "email")),
        lambda who: (unsubscribes(who, "web"), agrees(who, at=AT - HOUR)),
    ],
)
def test_what_does_not_forbid_an_offer_does_not(shop: list[UUID], say):
    live()
    say(shop[0])

    assert decided(shop[0], channel="web").arm == "treatment"


def test_where_the_basis_is_another_silence_is_no_objection_and_a_withdrawal_is(
    shop: list[UUID], settings
):
    settings.DTOC_MARKETING_BASIS = "legitimate_interest"
    live()
    withdraws(shop[1])

    assert decided(shop[0]).arm == "treatment"
    assert decided(shop[1]).reason == "marketing_withdrawn"


def test_a_basis_that_nobody_knows_asks_for_consent(shop: list[UUID], settings):
    settings.DTOC_MARKETING_BASIS = "legitimate interests"
    live()

    assert decided(shop[0]).reason == "no_marketing_consent"


def test_the_global_holdout_is_made_no_offer_and_is_in_no_arm(agreeing: list[UUID], settings):
    ordered = sorted(agreeing, key=global_place)
    settings.DTOC_GLOBAL_HOLDOUT_SHARE = global_place(ordered[1])
    live()

    held, free = decided(ordered[0]), decided(ordered[1])

    assert (held.reason, held.arm, held.exposure_id) == ("global_holdout", "", None)
    assert free.arm == "treatment"


def test_the_control_group_of_the_best_offer_is_made_none_and_reports_all_the_same(
    agreeing: list[UUID],
):
    campaign = a_campaign("Best")
    ordered = sorted(agreeing, key=lambda who: campaign_place(campaign.id, who))
    place = campaign_place(campaign.id, ordered[1])
    share = Decimal(place).quantize(Decimal("0.0001"), rounding="ROUND_DOWN")
    best = live(campaign, holdout_share=min(share, Decimal("0.9")))
    less = live(a_campaign("Less"), depth=Decimal("0.05"))

    decision = decided(ordered[0])

    assert arm_of(campaign.id, ordered[0], float(best.holdout_share)) == "control"
    assert (decision.arm, decision.reason, decision.live_offer_id) == (
        "control", "held_out", best.id,
    )  # fmt: skip
    assert decision.exposure_id == decision.id
    assert reasons(decision) == {str(best.id): "held_out", str(less.id): "runner_up"}
    assert decided(ordered[1]).arm == "treatment"


def test_contacts_of_launches_count_against_the_cap(
    agreeing: list[UUID], settings, monkeypatch: pytest.MonkeyPatch
):
    treated, control = halved(monkeypatch, agreeing)
    settings.DTOC_CONTACT_CAP = 1
    entry = running(simulated(), starts_at=AT - 2 * DAY, at=AT - 2 * DAY)
    live()

    assert decided(treated[0]).reason == "over_contact_cap"
    assert decided(control[0]).arm == "treatment"
    late = entry.assigned_at + settings.DTOC_CONTACT_CAP_DAYS * DAY
    assert decided(treated[0], late - HOUR).reason == "over_contact_cap"
    assert decided(treated[0], late).reason == "chosen"


def test_an_offer_that_was_made_counts_until_it_is_reported_as_not_shown_or_runs_out(
    agreeing: list[UUID], settings
):
    settings.DTOC_CONTACT_CAP = 1
    live()
    who, other = agreeing[:2]
    first = decided(who)

    assert decided(who, AT + HOUR).reason == "over_contact_cap"
    report_outcome(decision_id=first.id, outcome="not_shown", at=AT + 2 * HOUR)
    assert decided(who, AT + 3 * HOUR).arm == "treatment"
    decided(other)
    assert decided(other, AT + DAY - HOUR).reason == "over_contact_cap"
    assert decided(other, AT + DAY).arm == "treatment"


def test_an_offer_that_was_held_back_is_no_contact(
    agreeing: list[UUID], settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("campaigns.decisions.choosing.arm_of", lambda *_: "control")
    settings.DTOC_CONTACT_CAP = 1
    live(a_campaign("First", offer_days=1))
    waiting = decided(agreeing[0])

    again = decided(agreeing[0], AT + HOUR)
    report_outcome(decision_id=waiting.id, outcome="shown", at=AT + HOUR)

    assert (waiting.arm, again.arm) == ("control", "control")
    assert decided(agreeing[0], AT + 2 * DAY).arm == "control"


def test_a_launch_sees_the_contacts_of_decisions(
    agreeing: list[UUID], settings, monkeypatch: pytest.MonkeyPatch
):
    halved(monkeypatch, agreeing)
    live()
    shown, waiting, not_shown = (decided(who) for who in agreeing[:3])
    report_outcome(decision_id=shown.id, outcome="shown", at=AT + HOUR)
    report_outcome(decision_id=not_shown.id, outcome="not_shown", at=AT + HOUR)
    settings.DTOC_CONTACT_CAP = 1

    entry = running(simulated(), starts_at=AT + 2 * HOUR, at=AT + 2 * HOUR)

    assert entry.left_out["over_contact_cap"] == 2
    left_out = set(agreeing) - set(entry.exposures.values_list("pseudonym", flat=True))
    assert left_out == {shown.pseudonym, waiting.pseudonym}


@pytest.mark.parametrize("arm", ["treatment", "control"])
def test_whoever_has_an_offer_of_the_campaign_or_is_held_out_of_it_waits_until_it_ends(
    agreeing: list[UUID], monkeypatch: pytest.MonkeyPatch, arm: str
):
    monkeypatch.setattr("campaigns.decisions.choosing.arm_of", lambda *_: arm)
    campaign = a_campaign(offer_days=7)
    live(campaign)
    deeper = live(campaign, depth=Decimal("0.2"))
    first = decided(agreeing[0])
    assert decided(agreeing[0], AT + HOUR).arm == arm  # nobody said that it was shown
    report_outcome(decision_id=first.id, outcome="shown", at=AT + HOUR)

    again = decided(agreeing[0], AT + HOUR + 7 * DAY - HOUR)

    assert set(reasons(again).values()) == {"already_offered"}
    assert str(deeper.id) in reasons(again)
    assert decided(agreeing[0], AT + HOUR + 7 * DAY).arm == arm


def test_an_offer_of_a_launch_that_still_holds_is_not_made_again(
    agreeing: list[UUID], monkeypatch: pytest.MonkeyPatch
):
    campaign = a_campaign()
    halved(monkeypatch, agreeing)
    entry = running(simulated(campaign), starts_at=AT - DAY, at=AT - DAY)
    live(campaign)

    assert set(reasons(decided(agreeing[0])).values()) == {"already_offered"}
    assert decided(agreeing[0], entry.offer_ends_at).arm == "treatment"


def products(**stocks: int | None) -> None:
    store_products(
        facts=[ProductFacts(sku=f"item-{n[1:]}", stock=stock) for n, stock in stocks.items()], at=AT
    )


def test_products_that_are_sold_out_are_not_offered(agreeing: list[UUID]):
    products(i1=0, i2=3, i3=None)
    some = live(a_campaign("Some"), skus=["item-1", "item-2", "item-3", "item-4"])
    gone = live(a_campaign("Gone"), skus=["item-1"])

    decision = decided(agreeing[0])

    offered = {one["live_offer_id"]: one["skus"] for one in decision.candidates}
    assert offered[str(some.id)] == ["item-2", "item-3", "item-4"]
    assert offered[str(gone.id)] == []
    assert reasons(decision)[str(gone.id)] == "out_of_stock"


def test_what_a_sold_out_product_would_add_is_told_all_the_same(agreeing: list[UUID]):
    items = Twin.objects.get(pseudonym=agreeing[0]).forecast["top_items"]
    live(skus=[items[0]["sku"]])
    before = decided(agreeing[0]).candidates[0]["expected_margin"]

    store_products(facts=[ProductFacts(sku=items[0]["sku"], stock=0)], at=AT)

    (gone,) = decided(agreeing[0]).candidates
    assert gone["reason"]["code"] == "out_of_stock"
    assert gone["expected_margin"] == before


def test_an_offer_for_products_is_worth_what_the_twin_expects_of_them(agreeing: list[UUID]):
    items = Twin.objects.get(pseudonym=agreeing[0]).forecast["top_items"]
    likely = live(a_campaign("Likely"), skus=[items[0]["sku"]])
    unlikely = live(a_campaign("Unlikely"), skus=["nothing-of-ours"])
    everything = live(a_campaign("Everything"))

    decision = decided(agreeing[0])

    margins = {
        one["live_offer_id"]: Decimal(one["expected_margin"]["mean"]) for one in decision.candidates
    }
    assert margins[str(everything.id)] > margins[str(likely.id)] > margins[str(unlikely.id)] == 0


def test_unit_costs_take_the_place_of_the_margin_rate(agreeing: list[UUID]):
    live()
    usual = Decimal(decided(agreeing[0]).candidates[0]["expected_margin"]["mean"])
    items = Twin.objects.get(pseudonym=agreeing[0]).forecast["top_items"]
    dear = [
        ProductFacts(sku=item["sku"], price=Decimal(10), unit_cost=Decimal(9)) for item in items
    ]

    store_products(facts=dear, at=AT)

    assert Decimal(decided(agreeing[0]).candidates[0]["expected_margin"]["mean"]) < usual


def test_an_offer_for_larger_orders_is_not_made_for_a_smaller_one(agreeing: list[UUID]):
    live()
    value = Decimal(decided(agreeing[0]).twin["order_value"])
    offer = live(a_campaign("Large"), least_order_value=value + 1)

    assert reasons(decided(agreeing[0]))[str(offer.id)] == "order_too_small"
    at_the_till = decided(agreeing[0], basket_value=value + 1)
    assert reasons(at_the_till)[str(offer.id)] != "order_too_small"
    assert (
        reasons(decided(agreeing[0], basket_value=Decimal(1)))[str(offer.id)] == "order_too_small"
    )


def test_whoever_is_unknown_erased_or_restricted_is_refused(agreeing: list[UUID]):
    live()
    Customer.objects.filter(pseudonym=agreeing[0]).update(status="restricted")
    Customer.objects.filter(pseudonym=agreeing[1]).update(status="erased")

    with pytest.raises(CustomerRestricted):
        decided(agreeing[0])
    for nobody in (agreeing[1], uuid4()):
        with pytest.raises(UnknownCustomer):
            decided(nobody)
    assert not Decision.objects.exists()


def test_without_a_twin_the_answer_says_what_to_do(agreeing: list[UUID]):
    live()
    (newcomer,) = customers(1)
    agrees(newcomer)

    with pytest.raises(TwinNotAdvanced, match="start a worker"):
        decided(newcomer)
    ModelVersion.objects.update(state="retired")
    with pytest.raises(NoActiveModel):
        decided(agreeing[0])


def test_a_person_who_is_erased_leaves_no_decision(committed_shop: list[UUID]):
    agrees(*committed_shop[:2])
    live()
    gone, stays = (decided(who).pseudonym for who in committed_shop[:2])
    shown = decided(gone, AT + HOUR)
    report_outcome(decision_id=shown.id, outcome="shown", at=AT + HOUR)

    request = request_erasure(pseudonym=gone, requested_by="a test", at=now())
    done = run_erasure(request_id=request.id, at=now())

    assert done.receipt["body"]["stores"]["campaigns.decisions"] == {"found": 2, "deleted": 2}
    assert set(Decision.objects.values_list("pseudonym", flat=True)) == {stays}
    assert not Exposure.objects.filter(pseudonym=gone).exists()


@pytest.mark.django_db(transaction=True)
def test_two_decisions_at_once_do_not_both_take_the_last_contact(
    committed_shop: list[UUID], settings, monkeypatch: pytest.MonkeyPatch
):
    settings.DTOC_CONTACT_CAP = 1
    who = committed_shop[0]
    agrees(who)
    live()
    start, arms = Barrier(2), []

    def one() -> None:
        start.wait()
        arms.append(decided(who).arm)

    threads = [in_other_connection(one) for _ in range(2)]
    for thread in threads:
        thread.join()

    assert sorted(arms) == ["", "treatment"]


@pytest.mark.django_db(transaction=True)
def test_a_decision_waits_for_what_holds_the_customer_and_then_sees_it(
    committed_shop: list[UUID], settings
):
    settings.DTOC_CONTACT_CAP = 1
    who = committed_shop[0]
    agrees(who)
    live()
    arms: list[str] = []

    with transaction.atomic():
        decided(who)
        thread = in_other_connection(lambda: arms.append(decided(who).reason))
        assert _somebody_waits()
    thread.join()

    assert arms == ["over_contact_cap"]


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        for _ in range(2_000):
            cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted), pg_sleep(0.01)")
            if cursor.fetchone()[0]:
                return True
    return False


def test_old_decisions_are_forgotten_and_exposures_are_not(agreeing: list[UUID], settings):
    settings.DTOC_DECISION_DAYS = 10
    live()
    old = decided(agreeing[0])
    report_outcome(decision_id=old.id, outcome="shown", at=AT + HOUR)
    young = decided(agreeing[1], AT + DAY)

    assert forget_decisions(at=AT + 10 * DAY + HOUR) == 1
    assert forget_decisions(at=AT + 10 * DAY + HOUR) == 0

    assert list(Decision.objects.values_list("id", flat=True)) == [young.id]
    assert Exposure.objects.get().decision == old.id


def test_a_decision_writes_no_event_and_no_exposure(agreeing: list[UUID]):
    live()
    before = Event.objects.count()

    decided(agreeing[0])

    assert Event.objects.count() == before
    assert not Exposure.objects.exists()
