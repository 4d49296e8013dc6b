"""An explanation in words says what its figures say."""

from datetime import UTC, datetime

import pytest

from twins.sentences import summary_of

ITEMS = [
    {
        "sku": "85123A",
        "probability": 0.0412,
        "because": [
            {"component": "own", "label": "bought it before", "share": 0.7},
            {"component": "all_time", "label": "a best seller of all time", "share": 0.26},
            {"component": "skips", "label": "hardly anything", "share": 0.04},
        ],
    }
]
TIME = {
    "order_within_30_days": 0.523,
    "own_gaps": 3,
    "own_gap_days": 33.0,
    "everybodys_gap_days": 78.1,
    "usual_gap_days": 35.2,
    "own_weight": 0.87,
    "waited_days": 4,
    "learned_factor": 0.8,
    "learned_terms": [
        {"term": "everybody", "label": "the level of all customers", "log_factor": 1.1},
        {"term": "days_waited", "label": "the days since the last order", "log_factor": -0.3},
    ],
}
EVENT = {
    "type": "item_returned",
    "version": 184,
    "occurred_at": datetime(2011, 12, 5, 14, tzinfo=UTC),
    "moved": {"order_within_30_days": -0.11, "churn": 0.04, "top_item_probability": 0.0},
    "without": {"order_within_30_days": 0.633, "churn": 0.2, "top_item_probability": 0.04},
    "effect": 0.11,
}


def said(**changed) -> list[str]:
    time = {**TIME, **changed.pop("time", {})}
    whole = {"next_items": ITEMS, "time": time, "events": [EVENT], "reason": "", **changed}
    return summary_of(whole)


def test_every_sentence_is_made_from_the_figures():
    assert said() == [
        "The next order most likely opens with 85123A (4.12 %), because: bought it before (70 %); "
        "a best seller of all time (26 %).",
        "4 days have passed since the last order; the usual gap is 35 days, from 33 days between "
        "own orders (weight 87 %) and 78 days of all customers, so an order within 30 days has a "
        "chance of 52.3 %.",
        "What was learned from all customers makes an order on that day 0.8 times as likely as "
        "the gaps alone would say; most of it comes from the days since the last order.",
        "Of the last events the return of 2011-12-05 (version 184) moved the prediction most: "
        "without it the chance of an order within 30 days would be 63.3 % and not 52.3 %.",
    ]


def test_the_figure_that_moved_most_is_the_one_that_is_told():
    moved = {"order_within_30_days": 0.01, "churn": -0.02, "top_item_probability": -0.3}
    (*_, last) = said(events=[{**EVENT, "moved": moved}])

    assert "the chance of the likeliest item would be 4 % and not -26 %" in last


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ({"waited_days": None}, "Nothing was bought yet"),
        ({"own_gaps": 0, "own_gap_days": None}, "there is no own gap yet"),
        ({"waited_days": 1}, "1 day has passed since"),
    ],
)
def test_what_is_not_known_is_said_so(time, words):
    assert words in said(time=time)[1]


def test_what_was_not_learned_or_did_not_move_has_no_figure():
    small = [{"term": "spend", "label": "spend", "log_factor": 0.01}]
    still = [{**EVENT, "effect": 0.0}]

    sentences = said(time={"learned_terms": small}, events=still)

    assert len(sentences) == 3
    assert sentences[-1] == "Leaving out any one of the last events changes hardly anything."
    assert said(events=[], reason="it waits")[-1] == "No event is named: it waits."
    assert said(next_items=[])[0] == "The model knows no items."
