"""The verdict: of the offers that may be made, the one that adds the most margin, if any does."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from campaigns.decisions.look import Look, OpenOffer
from campaigns.decisions.rules import Ask, Rules, objection, obstacle
from campaigns.decisions.scoring import Score, Scorer
from campaigns.decisions.shelf import basket_of, in_stock, shelf_of
from campaigns.holdout import Arm, arm_of
from ml.incremental import HORIZON_DAYS, OrderCurve
from twins.heads import EPOCH
from twins.selectors import LiveTwin, live_twin_of

CENTS = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One open offer: ``reason`` says what became of it, ``skus`` which products are in stock."""

    offer: OpenOffer
    reason: str
    skus: list[str]
    score: Score | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the twin expected, whatever is offered."""

    live: LiveTwin
    order_value: Decimal
    order_within_horizon: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to be done for whom and why; ``best`` is the offer that is made or held back."""

    ask: Ask
    found: Look
    rules: Rules
    reason: str
    candidates: list[Candidate]
    best: Candidate | None = None
    arm: Arm | None = None
    expected: Expectation | None = None


def judge(ask: Ask, found: Look, rules: Rules, at: datetime) -> Verdict:
    """The verdict for one customer at a moment.

    Where a rule forbids every offer the twin is not asked.

    Raises:
        NoActiveModel, TwinNotAdvanced: there is no twin to ask.
    """
    if reason := objection(ask, found, rules):
        candidates = [Candidate(offer=one, reason=reason, skus=one.skus) for one in found.offers]
        return Verdict(ask=ask, found=found, rules=rules, reason=reason, candidates=candidates)
    live = live_twin_of(ask.pseudonym)
    curve = curve_of(live, at)
    candidates = _weighed(ask, found, live, curve)
    best = next((one for one in candidates if one.reason == "runner_up"), None)
    verdict = Verdict(
        ask=ask,
        found=found,
        rules=rules,
        reason=_why_none(candidates),
        candidates=candidates,
        expected=_expected(live, curve),
    )
    return verdict if best is None else _with_best(verdict, best)


def curve_of(live: LiveTwin, at: datetime) -> OrderCurve:
    """The days from a moment on, as the twin sees them."""
    as_of_ms = (at - EPOCH) // timedelta(milliseconds=1)
    return OrderCurve(live.twin.forecast, clock_ms=live.twin.clock_ms, as_of_ms=as_of_ms)


def _weighed(ask: Ask, found: Look, live: LiveTwin, curve: OrderCurve) -> list[Candidate]:
    """Every open offer with its score, the best first; those that could be chosen run up."""
    items: list[dict[str, Any]] = live.twin.forecast["top_items"]
    named = {sku for offer in found.offers for sku in offer.skus}
    shelf = shelf_of(named | {item["sku"] for item in items})
    stocked = [in_stock(offer.skus, shelf) for offer in found.offers]
    weighed = [
        (offer, basket_of(items, there or offer.skus, shelf, float(1 - offer.margin_rate)))
        for offer, there in zip(found.offers, stocked, strict=True)
    ]
    scorer = Scorer(curve, weighed)
    value = Decimal(curve.value) if ask.basket_value is None else ask.basket_value
    candidates = []
    for (offer, basket), there in zip(weighed, stocked, strict=True):
        score = scorer.score(offer, basket)
        gain = "runner_up" if score.mean > 0 else "no_gain"
        reason = obstacle(offer, found, there, value) or gain
        candidates.append(Candidate(offer=offer, reason=reason, skus=there, score=score))
    return sorted(candidates, key=_rank)


def _rank(candidate: Candidate) -> tuple[Decimal, Decimal, UUID]:
    """The largest margin first; of equals the smaller discount, then any fixed order."""
    mean = candidate.score.mean if candidate.score else Decimal(0)
    return -mean, candidate.offer.depth, candidate.offer.id


def _with_best(verdict: Verdict, best: Candidate) -> Verdict:
    """The best offer is made, or held back where the customer is in its campaign's control group.

    The next best one does not take its place then: what the control group is compared with is the
    decision for this offer.
    """
    share = float(best.offer.holdout_share)
    arm = arm_of(best.offer.campaign_id, verdict.ask.pseudonym, share)
    settled = replace(best, reason="chosen" if arm == "treatment" else "held_out")
    candidates = [settled if one is best else one for one in verdict.candidates]
    return replace(verdict, reason=settled.reason, candidates=candidates, best=settled, arm=arm)


def _why_none(candidates: list[Candidate]) -> str:
    gainless = any(one.reason == "no_gain" for one in candidates)
    return "no_gain" if gainless else "all_ruled_out"


def _expected(live: LiveTwin, curve: OrderCurve) -> Expectation:
    return Expectation(
        live=live,
        order_value=Decimal(curve.value).quantize(CENTS),
        order_within_horizon=curve.probability_within(HORIZON_DAYS),
    )
