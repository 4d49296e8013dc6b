"""An elasticity estimated from prices that moved by themselves, as all customers saw them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.response.effects import Effects, Floats, Provenance, drawn
from ml.response.errors import NoPriceVariation
from ml.response.panel import Integers, Panel, demeaned, panel_of

LEAST_LINES_PER_WEEK = 8.0
LEAST_SKUS = 5
MOST_STEPS = 50
STEP_TOLERANCE = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class ElasticityEstimate:
    """A pooled elasticity with the standard error between SKUs, and what it rests on.

    ``mean`` may be negative: that is what the data say, and no response model.
    """

    mean: float
    standard_error: float
    skus: int
    cells: int  # SKU x week
    lines: int

    def interval(self, z: float = 1.6449) -> tuple[float, float]:
        """Return mean -/+ z standard errors; 90 % by default."""
        return self.mean - z * self.standard_error, self.mean + z * self.standard_error


@dataclass(frozen=True, slots=True, kw_only=True)
class ElasticityResponse:
    """An elasticity estimated from natural price variation, its standard error carried on."""

    estimate: ElasticityEstimate

    @property
    def name(self) -> str:
        """Return the kind of response model."""
        return "elasticity"

    @property
    def provenance(self) -> Provenance:
        """Return that the elasticity was estimated; how it splits over channels is assumed."""
        return "data"

    def effects(self, replicates: int, seed: int) -> Effects:
        """Return one draw for each replicate, cut off at 0, half of it through more orders."""
        estimate = self.estimate
        return Effects.split(drawn(estimate.mean, estimate.standard_error, replicates, seed))

    def as_dict(self) -> dict[str, Any]:
        """Return the response for JSON."""
        return {"kind": self.name, "estimate": asdict(self.estimate)}


def estimate_elasticity(
    *,
    sku: NDArray[np.object_],
    occurred_at_ms: Integers,
    quantity: Floats,
    unit_price: Floats,
    offer_depth: Floats | None = None,
    least_lines_per_week: float = LEAST_LINES_PER_WEEK,
) -> ElasticityEstimate:
    """Return the pooled price elasticity that purchase lines show: minus the slope of demand.

    Demand is the number of lines of a SKU in a week; price is the median unit price among its
    lines of at most the SKU's median quantity, so that discounts for buying many drop out. A
    log-linear Poisson regression takes out every SKU's own level and every week's own level
    (which holds the month, the season and how many customers there are). Standard errors are
    clustered by SKU. Lines with an ``offer_depth`` above 0 are left out: a personal offer is a
    price that others did not see.

    Only SKUs with ``least_lines_per_week`` on average count: weeks without a sale show no price
    and are left out, which would flatten the slope of slow sellers.

    It is the effect of price only as far as (1) prices were not set with next week's demand of
    that SKU in mind, (2) a cheaper week neither takes lines from other SKUs nor from later weeks,
    (3) all SKUs and customers share one elasticity, (4) counting lines rather than units misses
    nothing. Promotions that come with advertising violate (1).

    Raises:
        NoPriceVariation: too few SKUs sell often enough at changing prices.
    """
    plain = np.ones(len(sku), np.bool_) if offer_depth is None else offer_depth == 0
    columns = (sku[plain], occurred_at_ms[plain], quantity[plain], unit_price[plain])
    panel = panel_of(*columns, least_lines_per_week)
    skus = len(np.unique(panel.sku[panel.price_moves]))
    if skus < LEAST_SKUS:
        raise NoPriceVariation(skus=skus, least_lines=least_lines_per_week, least_skus=LEAST_SKUS)
    slope, error = _poisson_slope(panel)
    return ElasticityEstimate(
        mean=-slope,
        standard_error=error,
        skus=skus,
        cells=len(panel.sku),
        lines=int(panel.lines.sum()),
    )


def _poisson_slope(panel: Panel) -> tuple[float, float]:
    """Return slope and clustered standard error, by iteratively reweighted least squares."""
    lines, price = panel.lines, panel.log_price
    log_mean = np.log(lines)
    slope = 0.0
    for _ in range(MOST_STEPS):
        mean = np.exp(log_mean)
        working = log_mean + (lines - mean) / mean
        columns = demeaned(np.stack([working, price]), panel, weights=mean)
        before, slope = (
            slope,
            float((mean * columns[1] * columns[0]).sum() / (mean * columns[1] ** 2).sum()),
        )
        log_mean = working - (columns[0] - slope * columns[1])
        if abs(slope - before) < STEP_TOLERANCE:
            break
    mean = np.exp(log_mean)
    rest = demeaned(price[None, :], panel, weights=mean)[0]
    information = np.bincount(panel.sku, weights=mean * rest**2)
    scores = np.bincount(panel.sku, weights=rest * (lines - mean))
    # Few best sellers carry much of the information: weigh each one's score as if it were left out.
    shifts = scores / np.maximum(information.sum() - information, np.finfo(np.float64).tiny)
    return slope, float(np.sqrt((shifts**2).sum()))
