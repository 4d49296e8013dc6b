"""An explanation in a few English sentences, made from its figures and nothing else."""

from __future__ import annotations

from datetime import datetime

from twins.documents import Document

NAMED_PARTS = 3
LEAST_SHARE = 0.05  # what gives less is not worth words
LEAST_EFFECT = 0.001  # below it nothing moved, as far as the words show digits
VERBS = {
    "item_purchased": "purchase",
    "item_returned": "return",
    "customer_registered": "registration",
}


def summary_of(document: Document) -> list[str]:
    """Two to four sentences: the likeliest item, the time, what was learned, what moved most."""
    said = [
        _item_sentence(document["next_items"]),
        _time_sentence(document["time"]),
        _learned_sentence(document["time"]),
        _moved_sentence(document),
    ]
    return [sentence for sentence in said if sentence]


def _item_sentence(items: list[Document]) -> str:
    if not items:
        return "The model knows no items."
    first = items[0]
    parts = [part for part in first["because"] if part["share"] >= LEAST_SHARE][:NAMED_PARTS]
    named = "; ".join(f"{part['label']} ({_share(part['share'])})" for part in parts)
    chance = _share(first["probability"])
    return f"The next order most likely opens with {first['sku']} ({chance}), because: {named}."


def _time_sentence(time: Document) -> str:
    chance = f"so an order within 30 days has a chance of {_share(time['order_within_30_days'])}"
    everybody = f"{time['everybodys_gap_days']:.0f} days of all customers"
    if time["waited_days"] is None:
        return f"Nothing was bought yet: the time rests on the usual gap of {everybody}, {chance}."
    waited = f"{_days(time['waited_days'])} passed since the last order"
    if not time["own_gaps"]:
        gap = f"there is no own gap yet, so the {everybody} stand for it"
        return f"{waited}; {gap}, {chance}."
    own = (
        f"{time['own_gap_days']:.0f} days between own orders (weight {_share(time['own_weight'])})"
    )
    usual = f"the usual gap is {time['usual_gap_days']:.0f} days, from {own} and {everybody}"
    return f"{waited}; {usual}, {chance}."


def _learned_sentence(time: Document) -> str:
    terms = [term for term in time["learned_terms"] if term["term"] != "everybody"]
    if not terms or abs(terms[0]["log_factor"]) < LEAST_SHARE:
        return ""
    return (
        "What was learned from all customers makes an order on that day "
        f"{time['learned_factor']:.2g} times as likely as the gaps alone would say; "
        f"most of it comes from {terms[0]['label']}."
    )


def _moved_sentence(document: Document) -> str:
    if not document["events"]:
        return f"No event is named: {document['reason']}."
    first = document["events"][0]
    if first["effect"] < LEAST_EFFECT:
        return "Leaving out any one of the last events changes hardly anything."
    name = VERBS.get(first["type"], first["type"])
    day: datetime = first["occurred_at"]
    figure, without = _most_moved(first)
    return (
        f"Of the last events the {name} of {day:%Y-%m-%d} (version {first['version']}) moved the "
        f"prediction most: without it {figure} would be {_share(without)} "
        f"and not {_share(without + first['moved'][FIGURES[figure]])}."
    )


FIGURES = {
    "the chance of an order within 30 days": "order_within_30_days",
    "the chance of no order in 90 days": "churn",
    "the chance of the likeliest item": "top_item_probability",
}


def _most_moved(event: Document) -> tuple[str, float]:
    """The probability that moved most: in words, and what it would be without the event."""
    moved = {words: event["moved"][name] for words, name in FIGURES.items()}
    words = max(moved, key=lambda one: abs(moved[one] or 0.0))
    return words, event["without"][FIGURES[words]]


def _share(value: float) -> str:
    return f"{100 * value:.3g} %" if value < 0.995 else f"{100 * value:.0f} %"


def _days(number: int) -> str:
    return "1 day has" if number == 1 else f"{number} days have"
