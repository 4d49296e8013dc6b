"""What a simulation is asked for, checked before anything is stored."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from campaigns.errors import GridTooLarge, InvalidSimulation

DEEPEST = Decimal("0.9")
LONGEST_HORIZON_DAYS = 365
FEWEST_REPLICATES, MOST_REPLICATES = 2, 1000
LARGEST_SEED = 2**63 - 1
MOST_SCENARIOS = 400
MOST_CELLS = 2_000_000  # (scenarios + control) x replicates x days: what a chunk's result holds
LARGEST_CHUNK = 250
FEWEST_CHUNKS = 6  # of an audience that has so many customers: for workers, and for progress
CHUNK_ROWS = (
    36_000  # (customer, arm, replicate): some ten seconds of a processor, two tiles of a GPU
)
LARGEST_ELASTICITY = 10.0
LATEST_START = timedelta(days=3_650)  # a horizon begins no later than so long after it is asked for
RESPONSES = ("assumed", "elasticity", "learned")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationPlan:
    """A grid of depth x delay over a horizon, with replicates, a seed and a response model.

    ``depths`` are shares of the price; ``delays_days`` count from the start of the horizon.
    ``response`` is ``{"kind": "assumed", "mean": m, "spread": s}``, ``{"kind": "elasticity"}`` or
    ``{"kind": "learned"}``.
    """

    depths: Sequence[Decimal]
    delays_days: Sequence[int]
    horizon_days: int
    replicates: int
    seed: int
    response: dict[str, Any]

    @property
    def arms(self) -> int:
        """Scenarios and the control."""
        return len(self.depths) * len(self.delays_days) + 1

    def chunk_size(self, customers: int) -> int:
        """How many of so many customers make a chunk of bounded work; several workers get some."""
        each = CHUNK_ROWS // (self.arms * self.replicates)
        return max(1, min(LARGEST_CHUNK, each, -(-customers // FEWEST_CHUNKS)))

    def check(self) -> None:
        """Nothing happens where the plan can be run.

        Raises:
            InvalidSimulation: a value is out of range.
            GridTooLarge: the grid holds more than a run can carry.
        """
        _check_size("scenarios", self.arms - 1, MOST_SCENARIOS)
        _check_range("horizon_days", self.horizon_days, 1, LONGEST_HORIZON_DAYS)
        _check_range("replicates", self.replicates, FEWEST_REPLICATES, MOST_REPLICATES)
        _check_range("seed", self.seed, 0, LARGEST_SEED)
        _check_grid("depths", self.depths, 0, DEEPEST)
        _check_grid("delays_days", self.delays_days, 0, self.horizon_days - 1)
        cells = self.arms * self.replicates * self.horizon_days
        _check_size("cells (arms x replicates x days)", cells, MOST_CELLS)
        _check_response(self.response)


def check_start(as_of: datetime | None, at: datetime) -> None:
    """Nothing happens where a horizon may begin at ``as_of``, asked for at ``at``.

    Raises:
        InvalidSimulation: it lies too far ahead.
    """
    if as_of is not None and as_of > at + LATEST_START:
        expected = f"at most {at + LATEST_START}, ten years from now"
        raise InvalidSimulation(field="as_of", value=as_of, expected=expected)


def _check_range(field: str, value: Any, low: Any, high: Any) -> None:
    if not low <= value <= high:
        raise InvalidSimulation(field=field, value=value, expected=f"{low} to {high}")


def _check_grid(field: str, values: Sequence[Any], low: Any, high: Any) -> None:
    if not values:
        raise InvalidSimulation(field=field, value="empty", expected="at least one value")
    if len(set(values)) < len(values):
        shown = ", ".join(str(value) for value in values[:20])
        raise InvalidSimulation(field=field, value=shown, expected="each value once")
    for value in values:
        _check_range(field, value, low, high)


def _check_size(unit: str, asked: int, most: int) -> None:
    if asked > most:
        raise GridTooLarge(asked=asked, unit=unit, most=most)


def _check_response(response: dict[str, Any]) -> None:
    kind = response.get("kind")
    if kind not in RESPONSES:
        raise InvalidSimulation(field="response", value=kind, expected=" or ".join(RESPONSES))
    if kind != "assumed":
        if response.keys() != {"kind"}:
            expected = "no mean or spread: they are estimated"
            raise InvalidSimulation(field="response", value=response, expected=expected)
        return
    for name in ("mean", "spread"):
        value = response.get(name)
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise InvalidSimulation(field=f"response/{name}", value=value, expected="a number")
        _check_range(f"response/{name}", value, 0, LARGEST_ELASTICITY)
