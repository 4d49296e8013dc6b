"""Elasticities, stated and estimated: bulk buying cannot fool the estimate."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml.response import (
    AssumedResponse,
    BadResponse,
    NoPriceVariation,
    estimate_elasticity,
    hazard_multiplier,
    quantity_multiplier,
)
from ml.shop import ShopConfig, event_chunks

WEEK_MS = 7 * 86_400_000
MONDAY_MS = 1_294_617_600_000  # 2011-01-10


def shop_lines(config: ShopConfig) -> dict[str, np.ndarray]:
    table = pa.concat_tables(event_chunks(config))
    table = table.filter(pc.equal(table["event_type"], "item_purchased"))
    return {
        "sku": table["sku"].to_numpy().astype(object),
        "occurred_at_ms": table["occurred_at"].cast(pa.int64()).to_numpy(),
        "quantity": table["quantity"].to_numpy().astype(float),
        "unit_price": table["unit_price"].to_numpy(),
    }


def planted_lines(
    elasticity: float, *, seed: int = 1, trend: float = 0.0, skus: int = 40, weeks: int = 40
) -> dict[str, np.ndarray]:
    """Weekly prices by lot, Poisson lines, and one line in four a bulk order at a third off.

    With a ``trend`` all prices fall while all demand grows for another reason.
    """
    rng = np.random.default_rng(seed)
    week, sku = np.meshgrid(np.arange(weeks), np.arange(skus))
    log_price = rng.choice([0.0, -0.15, -0.3], size=week.shape, p=[0.6, 0.2, 0.2])
    log_price = log_price - trend * week / weeks
    level = rng.normal(3.0, 0.3, size=(skus, 1))
    counts = rng.poisson(np.exp(level - elasticity * log_price + 3 * trend * week / weeks)).ravel()
    bulk = rng.random(counts.sum()) < 0.25
    price = np.repeat(5 * np.exp(log_price).ravel(), counts)
    return {
        "sku": np.repeat(sku.ravel(), counts).astype(str).astype(object),
        "occurred_at_ms": MONDAY_MS + np.repeat(week.ravel(), counts) * WEEK_MS,
        "quantity": np.where(bulk, 48.0, rng.integers(1, 5, counts.sum())),
        "unit_price": np.where(bulk, price * 0.67, price),
    }


def naive_slope(lines: dict[str, np.ndarray]) -> float:
    """Log quantity on log price within the SKU: what must not be believed."""
    codes = np.unique(lines["sku"], return_inverse=True)[1]

    def within(values: np.ndarray) -> np.ndarray:
        return values - (np.bincount(codes, values) / np.bincount(codes))[codes]

    price, quantity = within(np.log(lines["unit_price"])), within(np.log(lines["quantity"]))
    return float((price * quantity).sum() / (price**2).sum())


@pytest.mark.parametrize("elasticity", [0.0, 1.0, 2.5])
def test_no_discount_multiplies_by_exactly_one(elasticity):
    values = np.array([elasticity])

    assert hazard_multiplier(values, 0.0).item() == 1.0
    assert quantity_multiplier(values, 0.0).item() == 1.0


def test_hazard_and_quantity_together_make_the_elasticity():
    values = np.array([0.0, 0.7, 2.0])

    product = hazard_multiplier(values, 0.3) * quantity_multiplier(values, 0.3)

    assert product == pytest.approx(0.7**-values)
    assert (hazard_multiplier(values, 0.3)[1:] > 1).all()
    assert (quantity_multiplier(values, 0.3)[1:] > 1).all()


def test_without_spread_every_replicate_has_the_stated_elasticity():
    effects = AssumedResponse(mean=1.5, spread=0.0).effects(3, 1)

    assert (effects.hazard + effects.quantity).tolist() == [1.5, 1.5, 1.5]


@pytest.mark.parametrize(("mean", "spread"), [(-1, 0.1), (1, -0.1), (float("nan"), 0.1)])
def test_an_impossible_assumption_is_refused(mean, spread):
    with pytest.raises(BadResponse):
        AssumedResponse(mean=mean, spread=spread)


@pytest.mark.parametrize("elasticity", [0.0, 1.0, 2.0])
def test_bulk_buying_does_not_pass_for_elasticity(elasticity):
    lines = planted_lines(elasticity)
    assert naive_slope(lines) < -3

    estimate = estimate_elasticity(**lines)

    low, high = estimate.interval()
    assert low < elasticity < high
    assert estimate.standard_error < 0.1


def test_a_trend_that_all_items_share_does_not_pass_for_elasticity():
    estimate = estimate_elasticity(**planted_lines(1.0, trend=0.4))

    assert estimate.mean == pytest.approx(1.0, abs=3 * estimate.standard_error)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    estimates = [
        estimate_elasticity(**planted_lines(1.0, seed=seed, skus=25, weeks=20))
        for seed in range(60)
    ]

    covered = sum(low < 1.0 < high for low, high in (e.interval() for e in estimates))

    assert 47 <= covered <= 60  # 54 of 60 expected; 47 is three deviations lower


@pytest.mark.parametrize("elasticity", [0.0, 0.8, 1.8])
def test_the_known_response_of_the_synthetic_shop_is_recovered(elasticity):
    config = ShopConfig(
        customers=1_500, days=300, seed=0, wave_every_days=0, elasticity_mean=elasticity
    )

    estimate = estimate_elasticity(**shop_lines(config))

    low, high = estimate.interval()
    assert low < elasticity < high
    assert estimate.standard_error < 0.25


def test_lines_bought_with_a_personal_offer_are_left_out():
    lines = planted_lines(1.0)
    extra = {name: np.concatenate([column, column[:5_000]]) for name, column in lines.items()}
    extra["unit_price"][-5_000:] *= 0.5
    depth = np.concatenate([np.zeros(len(lines["sku"])), np.full(5_000, 0.5)])

    assert estimate_elasticity(**extra, offer_depth=depth) == estimate_elasticity(**lines)
    assert estimate_elasticity(**extra) != estimate_elasticity(**lines)


def test_prices_that_never_move_say_nothing():
    lines = planted_lines(1.0)
    lines["unit_price"] = np.full(len(lines["sku"]), 5.0)

    with pytest.raises(NoPriceVariation, match="0 SKUs"):
        estimate_elasticity(**lines)


def test_items_that_sell_too_rarely_do_not_count():
    lines = planted_lines(1.0)

    with pytest.raises(NoPriceVariation):
        estimate_elasticity(**lines, least_lines_per_week=1_000)


def test_no_lines_at_all_say_nothing():
    nothing = {name: column[:0] for name, column in planted_lines(1.0).items()}

    with pytest.raises(NoPriceVariation):
        estimate_elasticity(**nothing)
