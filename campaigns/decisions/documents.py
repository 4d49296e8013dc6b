"""A verdict as it is stored, and a stored decision as it is answered: one form for both."""

from datetime import datetime
from typing import Any

import msgspec

from campaigns.decisions.choosing import Candidate, Expectation, Verdict
from campaigns.decisions.scoring import LEVEL, Score
from campaigns.decisions.words import why, why_of
from campaigns.models import Decision
from common.canonical_json import iso
from ml.incremental import HORIZON_DAYS

Document = dict[str, Any]


def decision_of(verdict: Verdict, *, asked_by: str, at: datetime, show_until: datetime) -> Decision:
    """The unsaved row that keeps a verdict, with all that it rests on."""
    best, expected, reason = verdict.best, verdict.expected, why(verdict)
    return Decision(
        pseudonym=verdict.ask.pseudonym,
        decided_at=at,
        asked_by=asked_by,
        reason=reason["code"],
        words=reason["text"],
        live_offer_id=best.offer.id if best else None,
        arm=verdict.arm or "",
        show_until=show_until if best else None,
        model_version=expected.live.twin.model_version.id if expected else None,
        stream_version=expected.live.twin.stream_version if expected else None,
        twin=_twin(expected) if expected else None,
        candidates=[_candidate(verdict, one) for one in verdict.candidates],
        rules=_rules(verdict),
    )


def document_of(decision: Decision) -> Document:
    """A decision as the API answers it."""
    chosen = next((one for one in decision.candidates if one["reason"]["code"] == "chosen"), None)
    return {
        "id": decision.id,
        "exposure_id": decision.exposure_id,
        "pseudonym": decision.pseudonym,
        "decided_at": decision.decided_at,
        "arm": decision.arm or None,
        "show_until": decision.show_until,
        "reason": {"code": decision.reason, "text": decision.words},
        "offer": chosen,
        "candidates": decision.candidates,
        "interval": {
            "level": LEVEL,
            "of": "the response of customers",
            "horizon_days": HORIZON_DAYS,
        },
        "twin": decision.twin,
        "rules": decision.rules,
        "outcome": _outcome(decision),
    }


def _candidate(verdict: Verdict, one: Candidate) -> Document:
    offer = one.offer
    least = offer.least_order_value
    return {
        "live_offer_id": str(offer.id),
        "campaign_id": str(offer.campaign_id),
        "name": offer.name,
        "kind": offer.kind,
        "depth": f"{offer.depth.normalize():f}",
        "skus": one.skus,
        "offer_days": offer.offer_days,
        "least_order_value": None if least is None else str(least),
        "currency": offer.currency,
        "expected_margin": _margin(one.score),
        "expected_orders": _orders(one.score),
        "response": msgspec.to_builtins(offer.response),
        "reason": why_of(verdict, one),
    }


def _margin(score: Score | None) -> Document | None:
    if score is None:
        return None
    return {"mean": str(score.mean), "low": str(score.low), "high": str(score.high)}


def _orders(score: Score | None) -> Document | None:
    if score is None:
        return None
    return {"without": round(score.orders, 6), "with": round(score.orders_offered, 6)}


def _twin(expected: Expectation) -> Document:
    live = expected.live
    model = live.twin.model_version
    return {
        "model": {"id": str(model.id), "name": model.name, "sha256": model.sha256},
        "stream_version": live.twin.stream_version,
        "lag": live.stream_version - live.twin.stream_version,
        "order_value": str(expected.order_value),
        "order_within_90_days": round(expected.order_within_horizon, 6),
    }


def _rules(verdict: Verdict) -> Document:
    rules, found, ask = verdict.rules, verdict.found, verdict.ask
    return {
        "channel": ask.channel,
        "basket_value": None if ask.basket_value is None else str(ask.basket_value),
        "marketing_basis": rules.marketing_basis,
        "marketing_consent": found.marketing,
        "profiling_consent": found.profiling,
        "global_holdout_share": rules.global_holdout_share,
        "contact_cap": rules.contact_cap,
        "contact_cap_days": rules.contact_cap_days,
        "contacts": found.contacts,
    }


def _outcome(decision: Decision) -> Document | None:
    if not decision.outcome:
        return None
    assert decision.outcome_at is not None  # noqa: S101 - the database keeps them together
    return {
        "outcome": decision.outcome,
        "at": iso(decision.outcome_at),
        "reported_at": iso(decision.reported_at) if decision.reported_at else None,
    }
