"""Why an item is likely: the parts are the probability, and nobody is credited for nothing."""

import numpy as np
import pytest
from hypothesis import given, settings

from ml.mixture.components import NAMES, Components, Views
from ml.mixture.memory import Memory
from ml.mixture.network import NetworkComponents
from ml.why.items import LABELS, OPENING, contributions, item_reasons
from tests.ml.histories import COUNTRIES, DAY, ITEMS, OPENING_MS, Line, small_model, table
from tests.ml.mixture.shops import mixed_histories, mixture

WITHOUT_MIXTURE = small_model()
COUNTED, WITH_NETWORK = small_model(), small_model()
COUNTED.adopt(mixture())
WITH_NETWORK.adopt(mixture(network=NetworkComponents(small_model(seed=1), ITEMS)))


def folded(model, *histories):
    countries = [COUNTRIES[n % 2] for n in range(len(histories))]
    return model.advance(model.initial_state(countries), table(histories))


def shares_of(reason) -> dict[str, float]:
    return dict(reason.parts)


@pytest.mark.parametrize("model", [WITHOUT_MIXTURE, COUNTED, WITH_NETWORK])
@settings(max_examples=25, deadline=None)
@given(histories=mixed_histories)
def test_the_parts_of_an_item_are_the_probability_that_is_forecast(model, histories):
    states = folded(model, *histories)
    forecasts = model.forecast(states, len(ITEMS))

    for forecast, reasons in zip(forecasts, item_reasons(model, states, ITEMS), strict=True):
        expected = dict(forecast.top_items)
        for reason in reasons:
            assert reason.probability == pytest.approx(expected[reason.sku], rel=1e-4)
            assert sum(share for _, share in reason.parts) == pytest.approx(1, abs=1e-9)
            assert all(share > 0 for _, share in reason.parts)
            largest = [share for _, share in reason.parts]
            assert largest == sorted(largest, reverse=True)


def test_a_component_that_knows_nothing_of_an_item_gets_nothing_for_it():
    lines = [Line(OPENING_MS, "item-0", 1), Line(OPENING_MS + 9 * DAY, "item-1", 2)]
    states = folded(COUNTED, lines)

    bought, never = item_reasons(COUNTED, states, ["item-0", "item-19"])[0]

    assert {"own", "own_decayed"} <= shares_of(bought).keys()
    assert not {"own", "own_decayed", "own_transitions"} & shares_of(never).keys()
    assert shares_of(never).keys() <= {"all_time", "last_28_days", "last_7_days"}


def test_before_the_first_line_only_popularity_and_the_network_speak():
    (reasons,) = item_reasons(WITH_NETWORK, folded(WITH_NETWORK, []), ITEMS)

    said = {name for reason in reasons for name in shares_of(reason)}
    assert said == {"all_time", "last_28_days", "last_7_days", "network_continuing", OPENING}


def test_a_weight_of_zero_gives_nothing_and_the_only_component_gives_everything():
    memory = Memory(0)
    memory.add(3, 1, OPENING_MS, (0.0, 0.0, 0.0), COUNTED.next_item.frame.config.limits)
    views = Views.of([memory])
    components = Components.of(views, COUNTED.next_item.market)
    weights = np.zeros((1, len(NAMES)))
    weights[0, NAMES.index("own")] = 1

    given_ = contributions(components, weights, np.array([0.5]), views, np.arange(len(ITEMS)))

    assert given_[0, 3, NAMES.index("own")] / given_[0, 3].sum() > 0.99
    others = [k for k, name in enumerate(NAMES) if name not in ("own", "all_time")]
    assert not given_[0][:, others].any()  # all-time popularity is the floor
    assert given_[0].sum() == pytest.approx(1)


def test_items_of_the_open_order_are_damped_and_the_rest_takes_their_place():
    memory = Memory(0)
    memory.add(3, 1, OPENING_MS, (0.0, 0.0, 0.0), COUNTED.next_item.frame.config.limits)
    views = Views.of([memory])
    components = Components.of(views, COUNTED.next_item.market)
    weights = np.full((1, len(NAMES)), 1 / len(NAMES))

    free, damped = (
        contributions(components, weights, np.array([d]), views, np.arange(len(ITEMS)))[0]
        for d in (1.0, 0.1)
    )

    assert damped[3].sum() < free[3].sum()
    assert damped[4].sum() > free[4].sum()
    assert damped.sum() == pytest.approx(free.sum()) == pytest.approx(1)


def test_items_that_the_model_does_not_know_are_left_out_and_every_component_has_words():
    (reasons,) = item_reasons(COUNTED, folded(COUNTED, []), ["never sold", "item-2"])

    assert [reason.sku for reason in reasons] == ["item-2"]
    assert set(LABELS) == set(WITH_NETWORK.next_item.names)
