"""Why a decision is what it is, in words; the code beside it says the same to a program."""

from decimal import Decimal
from typing import Any

from campaigns.decisions.choosing import Candidate, Verdict
from common.canonical_json import iso

# Reasons that hold for the customer, and with it for every offer.
OF_CUSTOMER = {
    "no_marketing_consent": "the customer has not agreed to marketing",
    "marketing_withdrawn": "the customer has withdrawn the agreement to marketing",
    "profiling_withdrawn": "the customer has withdrawn the agreement to being profiled",
    "unsubscribed": "the customer wants nothing over the channel {channel}",
    "global_holdout": "the customer belongs to the {share} of all who are kept out of every "
    "campaign",
    "over_contact_cap": "the customer was made {contacts} offers within {days} days, and at most "
    "{cap} are allowed",
    "no_open_offer": "no offer is open",
}
OF_ALL = {
    "no_gain": "no offer that may be made adds more margin than it costs",
    "all_ruled_out": "none of the open offers may be made to the customer now",
}
OF_OFFER = {
    "chosen": "adds {score} within {horizon} days, the most of the offers that may be made",
    "held_out": "adds {score} within {horizon} days, the most of the offers that may be made; the "
    "customer is in this campaign's control group, so it is held back and its effect measured",
    "runner_up": "adds {score} within {horizon} days, which is less than another one",
    "no_gain": "adds {score} within {horizon} days, and making no offer adds 0",
    "already_offered": "the customer has an offer of this campaign until {until}, or is held out "
    "of it so long",
    "out_of_stock": "none of its products is in stock: {skus}",
    "order_too_small": "is for orders of {least} or more, and {value}",
}
SHOWN_SKUS = 5


def why(verdict: Verdict) -> dict[str, str]:
    """The reason of the decision as a whole."""
    code = verdict.reason
    if verdict.best is not None:
        return {"code": code, "text": f"{verdict.best.offer.name} {_of_offer(verdict, code)}"}
    if code in OF_ALL:
        return {"code": code, "text": OF_ALL[code]}
    return {"code": code, "text": _of_customer(verdict, code)}


def why_of(verdict: Verdict, candidate: Candidate) -> dict[str, str]:
    """What became of one offer, and why."""
    code = candidate.reason
    if code in OF_CUSTOMER:
        return {"code": code, "text": _of_customer(verdict, code)}
    return {"code": code, "text": _of_offer(verdict, code, candidate)}


def _of_customer(verdict: Verdict, code: str) -> str:
    rules = verdict.rules
    return OF_CUSTOMER[code].format(
        channel=verdict.ask.channel,
        share=f"{rules.global_holdout_share:.1%}",
        contacts=verdict.found.contacts,
        cap=rules.contact_cap,
        days=rules.contact_cap_days,
    )


def _of_offer(verdict: Verdict, code: str, candidate: Candidate | None = None) -> str:
    one = candidate or verdict.best
    assert one is not None  # noqa: S101 - a reason of an offer comes with one
    return OF_OFFER[code].format(**_facts(verdict, one))


def _facts(verdict: Verdict, candidate: Candidate) -> dict[str, Any]:
    offer, score = candidate.offer, candidate.score
    until = verdict.found.held.get(offer.campaign_id)
    skus = ", ".join(offer.skus[:SHOWN_SKUS])
    return {
        "score": _amounts(candidate),
        "horizon": score.horizon_days if score else 0,
        "until": iso(until) if until else "",
        "skus": skus + (" and others" if len(offer.skus) > SHOWN_SKUS else ""),
        "least": _money(offer.least_order_value, offer.currency),
        "value": _order(verdict, offer.currency),
    }


def _amounts(candidate: Candidate) -> str:
    score, currency = candidate.score, candidate.offer.currency
    if score is None:
        return ""
    return f"{_money(score.mean, currency)} [{score.low:,.2f}, {score.high:,.2f}]"


def _order(verdict: Verdict, currency: str) -> str:
    if verdict.ask.basket_value is not None:
        return f"this one comes to {_money(verdict.ask.basket_value, currency)}"
    expected = verdict.expected.order_value if verdict.expected else None
    return f"one of this customer is expected to come to {_money(expected, currency)}"


def _money(amount: Decimal | None, currency: str) -> str:
    return "" if amount is None else f"{amount:,.2f} {currency}"
