"""The next basket is learned beside the next item, measured, stored, and listed by forecasts."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ml import artefacts
from ml.basket.model import BasketConfig, BasketModel
from ml.errors import BrokenArtefact
from ml.events import EventTable
from ml.forecast import Forecast
from ml.next_basket import fit_beside, measured
from ml.twin import TwinModel
from tests.ml.histories import DAY, ITEMS, OPENING_MS, Line, small_model, table
from tests.ml.mixture.shops import mixture

CUSTOMERS, ORDERS, DAYS_BETWEEN = 12, 10, 5
COUNTRIES = ["France"] * CUSTOMERS
SPLIT = OPENING_MS + 30 * DAY
OWN = 3  # items that a customer buys every time


def faithful() -> EventTable:
    """Everybody buys the same three items in every order, and one that changes."""
    luck = np.random.default_rng(0)
    made = []
    for customer in range(CUSTOMERS):
        lines = []
        for order in range(ORDERS):
            at_ms = OPENING_MS + (DAYS_BETWEEN * order + customer % 3) * DAY
            same = [f"item-{(customer + n) % 14}" for n in range(OWN)]
            other = f"item-{14 + int(luck.integers(6))}"
            lines += [Line(at_ms, sku, order + 1) for sku in (*same, other)]
        made.append(lines)
    return table(made)


MIXTURE = mixture()
EVENTS = faithful()


@pytest.fixture(scope="module")
def learned() -> BasketModel:
    model = fit_beside(MIXTURE, EVENTS, COUNTRIES, until_ms=SPLIT)
    assert model is not None
    return model


@pytest.fixture(scope="module")
def twin(learned: BasketModel) -> TwinModel:
    model = small_model()
    model.adopt(MIXTURE)
    model.next_basket = learned
    return model


def test_a_report_has_the_figures_beside_the_rules_and_what_was_foretold(learned: BasketModel):
    report = measured(learned, MIXTURE, EVENTS, COUNTRIES, from_ms=SPLIT, draws=50)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    every = report["all_orders"]
    assert set(every) == {"model", "personal_and_recent", "best_sellers"}
    assert report["targets"] == every["model"]["ndcg_10"]["n"] == CUSTOMERS * 4
    assert every["model"]["recall_10"]["value"] >= OWN / (OWN + 1)
    assert every["model"]["ndcg_10"]["value"] > every["best_sellers"]["ndcg_10"]["value"] + 0.1
    gain = report["gain"]["ndcg_10"]["value"]
    differences = [every[name]["ndcg_10"]["value"] for name in ("model", "personal_and_recent")]
    assert gain == pytest.approx(differences[0] - differences[1])
    hits = report["hits_of_ten"]
    assert hits["foretold"]["value"] == pytest.approx(hits["found"]["value"], rel=0.2)


def test_what_is_learned_and_measured_does_not_depend_on_what_comes_later(learned: BasketModel):
    early = EVENTS.rows(EVENTS.occurred_at_ms < SPLIT)
    again = fit_beside(MIXTURE, early, COUNTRIES, until_ms=SPLIT)
    assert again is not None
    assert again.as_dict() == learned.as_dict()


def test_an_item_that_nobody_knows_stays_in_the_basket(learned: BasketModel):
    sku = EVENTS.sku.copy()
    later = EVENTS.occurred_at_ms >= SPLIT
    changed = [f"never sold {n}" for n in range(int(later.sum()))]
    sku[later] = changed
    report = measured(
        learned, MIXTURE, replace(EVENTS, sku=sku), COUNTRIES, from_ms=SPLIT, draws=20
    )
    assert report["targets"] == CUSTOMERS * 4
    assert report["all_orders"]["model"]["recall_10"]["value"] == 0


def test_where_nobody_ordered_twice_nothing_is_learned_and_nothing_measured(learned: BasketModel):
    once = EVENTS.rows(EVENTS.order == 1)
    assert fit_beside(MIXTURE, once, COUNTRIES, until_ms=SPLIT) is None
    assert measured(learned, MIXTURE, once, COUNTRIES, from_ms=0) == {}


def forecasts(model: TwinModel, events: EventTable) -> list[Forecast]:
    return model.forecast(model.advance(model.initial_state(COUNTRIES), events))


def test_a_forecast_lists_ten_items_with_their_ranks_the_own_ones_marked(twin: TwinModel):
    (one, *_) = forecasts(twin, EVENTS)
    stored = one.as_dict()["next_basket"]
    assert [item["rank"] for item in stored] == list(range(1, len(stored) + 1))
    assert OWN < len(stored) <= 10
    chances = [item["probability"] for item in stored]
    assert chances == sorted(chances, reverse=True)
    assert {item["sku"] for item in stored[:OWN]} == {f"item-{n}" for n in range(OWN)}
    bought = set(EVENTS.sku[EVENTS.customer == 0].tolist())
    for item in stored:
        assert item["sku"] in ITEMS
        assert item["bought_before"] == (item["sku"] in bought)


def test_a_twin_alone_and_advanced_in_pieces_lists_what_it_lists_among_others(twin: TwinModel):
    among = forecasts(twin, EVENTS)[3].next_basket
    mine = EVENTS.select([3])
    states = twin.initial_state(COUNTRIES[:1])
    for start in range(0, len(mine), 7):
        states = twin.advance(states, mine.rows(np.arange(start, min(start + 7, len(mine)))))
    (alone,) = twin.forecast(states)
    assert alone.next_basket == among


def test_before_a_first_order_and_without_a_model_the_list_is_empty(twin: TwinModel):
    assert twin.forecast(twin.initial_state(["France"]))[0].next_basket == ()
    plain = small_model()
    plain.adopt(MIXTURE)
    assert forecasts(plain, EVENTS)[0].next_basket == ()


def test_the_list_goes_through_the_files_of_a_model_and_broken_ones_are_refused(twin: TwinModel):
    files = artefacts.dump(twin, {})
    again = artefacts.load(files)
    assert forecasts(again, EVENTS) == forecasts(twin, EVENTS)
    stored = json.loads(files[artefacts.BASKET]) | {"features": -1}
    with pytest.raises(BrokenArtefact, match="other features"):
        artefacts.load({**files, artefacts.BASKET: json.dumps(stored).encode()})
    del files[artefacts.BASKET]
    assert artefacts.load(files).next_basket is None


def test_another_seed_shuffles_otherwise():
    one, two = (
        fit_beside(MIXTURE, EVENTS, COUNTRIES, until_ms=SPLIT, config=BasketConfig(seed=seed))
        for seed in (0, 1)
    )
    assert one is not None
    assert two is not None
    assert not np.array_equal(one.weights, two.weights)
