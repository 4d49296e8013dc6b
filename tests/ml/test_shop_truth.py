"""The true uplift: exact, and the response that the shop was given."""

import numpy as np
import pyarrow as pa
import pytest

from ml.response import HAZARD_SHARE
from ml.shop import ShopConfig, event_chunks, ground_truth, true_uplift
from ml.shop.errors import BadShop

SHOP = ShopConfig(customers=400, days=90, seed=11, wave_every_days=0)
OFFER = {"start_day": 50, "offer_days": 14, "horizon_days": 40}


def test_an_offer_of_nothing_changes_nothing():
    uplift = true_uplift(SHOP, depth=0.0, **OFFER)

    for name in ("orders", "lines", "units", "revenue_cents"):
        control, treated = getattr(uplift.control, name), getattr(uplift.treated, name)
        assert control.sum() > 0
        assert np.array_equal(control, treated)
    assert (uplift.orders, uplift.revenue_cents, uplift.buyers) == (0, 0, 0)


def test_the_control_arm_is_what_the_shop_itself_does():
    frame = pa.concat_tables(event_chunks(SHOP)).to_pandas()
    day = (frame["occurred_at"] - frame["occurred_at"].dt.normalize().min()).dt.days
    lines = frame[(frame["event_type"] == "item_purchased") & day.between(50, 89)]

    control = true_uplift(SHOP, depth=0.2, **OFFER).control

    assert control.orders.sum() == lines["order_id"].nunique()
    assert control.units.sum() == lines["quantity"].sum()
    cents = (lines["quantity"] * (lines["unit_price"] * 100).round()).sum()
    assert control.revenue_cents.sum() == cents


def test_history_before_the_start_holds_the_waves_of_the_shop():
    config = ShopConfig(customers=300, days=100, seed=11)
    frame = pa.concat_tables(event_chunks(config)).to_pandas()
    day = (frame["occurred_at"] - frame["occurred_at"].dt.normalize().min()).dt.days
    lines = frame[(frame["event_type"] == "item_purchased") & (day >= 80)]

    control = true_uplift(config, depth=0.2, start_day=80, offer_days=5, horizon_days=20).control

    assert control.units.sum() == lines["quantity"].sum()


def test_a_deeper_offer_brings_more_orders_and_takes_none_away():
    shallow, deep = (true_uplift(SHOP, depth=depth, **OFFER) for depth in (0.1, 0.3))

    assert (deep.treated.orders >= deep.control.orders).all()
    assert 0 < shallow.orders < deep.orders


def test_orders_rise_by_the_known_factor():
    agents = ground_truth(SHOP)
    horizon = {"start_day": 50, "offer_days": 14, "horizon_days": 14}
    runs = [true_uplift(SHOP, depth=0.3, **horizon, future=future) for future in range(1, 9)]
    control = np.sum([run.control.orders for run in runs], axis=0)

    expected = (control * 0.7 ** (-HAZARD_SHARE * agents.elasticity)).sum()

    treated = np.sum([run.treated.orders for run in runs])
    added, predicted = treated - control.sum(), expected - control.sum()
    # At most one order a day dampens the factor a little; added orders are about Poisson.
    assert abs(added - predicted) < 4 * np.sqrt(predicted) + 0.03 * predicted


def test_quantities_rise_by_the_known_factor_and_prices_fall_by_the_depth():
    config = ShopConfig(
        customers=1_500, days=30, seed=3, wave_every_days=0, promotion_share=0, elasticity_sd=0.0
    )
    run = true_uplift(config, depth=0.2, start_day=0, offer_days=30, horizon_days=30)

    per_line = [totals.units.sum() / totals.lines.sum() for totals in (run.control, run.treated)]
    price = [
        totals.revenue_cents.sum() / totals.units.sum() for totals in (run.control, run.treated)
    ]

    factor = 0.8 ** (-(1 - HAZARD_SHARE) * 1.8)
    assert per_line[1] / per_line[0] == pytest.approx(factor, rel=0.04)
    assert price[1] / price[0] == pytest.approx(0.8, rel=0.04)


def test_other_futures_differ_and_equal_futures_agree():
    first, again, other = (
        true_uplift(SHOP, depth=0.2, **OFFER, future=future) for future in (1, 1, 2)
    )

    assert np.array_equal(first.treated.revenue_cents, again.treated.revenue_cents)
    assert not np.array_equal(first.control.revenue_cents, other.control.revenue_cents)


@pytest.mark.parametrize("wrong", [{"depth": 1.0}, {"depth": -0.1}, {"start_day": -1}])
def test_an_impossible_offer_is_refused(wrong):
    with pytest.raises(BadShop):
        true_uplift(SHOP, **{"depth": 0.2, **OFFER, **wrong})
