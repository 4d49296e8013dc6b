"""A forecast is a set of distributions, and says the same for a twin alone or among others."""

import json
import math

import pytest
import torch

from ml.timing import predictions
from tests.ml.histories import DAY, ITEMS, OPENING_MS, Line, small_model, table

MODEL = small_model()


def states():
    made = [[Line(OPENING_MS, f"item-{n}")] for n in range(5)]
    return MODEL.advance(MODEL.initial_state(["France"] * 5), table(made))


def test_all_items_together_have_probability_one_and_come_likeliest_first():
    for forecast in MODEL.forecast(states(), top_items=99):
        shares = [share for _, share in forecast.top_items]
        assert {sku for sku, _ in forecast.top_items} == set(ITEMS)
        assert math.isclose(sum(shares), 1, abs_tol=1e-5)
        assert shares == sorted(shares, reverse=True)


def test_a_forecast_goes_through_json_and_predicts():
    twins = states()
    stored = json.loads(json.dumps(MODEL.forecast(twins, 3)[0].as_dict(), allow_nan=False))
    clock = int(twins.clock_ms[0])

    said = predictions(stored, clock_ms=clock, as_of_ms=clock + 3 * DAY)

    assert len(stored["top_items"]) == 3
    assert 0 < stored["same_order"] < 1
    assert stored["line_total"]["expected"] > 0
    within = said["order_probability"]
    assert 0 < within["within_7_days"] < within["within_30_days"] < within["within_90_days"] < 1
    assert said["churn"] == pytest.approx(1 - within["within_90_days"])


def test_a_twin_alone_gets_the_forecast_that_it_gets_among_others():
    among, alone = MODEL.forecast(states())[3], MODEL.forecast(states().take([3]))[0]
    assert [sku for sku, _ in among.top_items] == [sku for sku, _ in alone.top_items]
    assert among.same_order == pytest.approx(alone.same_order, abs=1e-6)
    assert among.line_total_expected == pytest.approx(alone.line_total_expected, rel=1e-5)


def test_items_mixed_over_both_kinds_of_lines_are_the_weighted_mean():
    h = torch.from_numpy(states().h)
    with torch.inference_mode():
        same = torch.sigmoid(MODEL.output(h).same_order_logit).unsqueeze(-1)
        kinds = [torch.softmax(MODEL.item_logits(h, torch.full((5,), k)), -1) for k in (1, 0)]
        mixed = torch.exp(MODEL.item_logits(h))
    torch.testing.assert_close(mixed, same * kinds[0] + (1 - same) * kinds[1])


def test_the_same_item_given_alone_or_in_a_list_has_the_same_line_total():
    h, item = torch.from_numpy(states().h), torch.tensor([3, 1, 4, 1, 5])
    with torch.inference_mode():
        alone = MODEL.line_total(h, item)
        listed = MODEL.line_total(h, torch.stack([torch.zeros_like(item), item], dim=-1))
    torch.testing.assert_close(alone[0], listed[0][:, 1])
    torch.testing.assert_close(alone[1], listed[1][:, 1])
