"""Simulations side by side: the best scenario of each, and how far they lie apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from campaigns.errors import InvalidComparison, NotComparable, SimulationNotFinished
from campaigns.intervals import prediction_interval
from campaigns.models import SimulationRun
from campaigns.results import amount
from campaigns.selectors import simulation_by_id, simulations
from campaigns.tables import best_by, gain_of, is_offer, shown_scenario

FEWEST, MOST = 2, 6
FEWEST_DRAWS = 2
PLACE_DIGITS = 4
MOST_OFFERED = 20
Figure = dict[str, Any]
Fact = Callable[[SimulationRun], Any]
# What makes figures incomparable: totals of other people, over another time, in other money.
REFUSED: dict[str, Fact] = {
    "audience": lambda run: run.audience.sha256,
    "horizon_days": lambda run: run.horizon_days,
    "currency": lambda run: run.manifest["currency"],
}
# What may well be compared, but has to be known: it moves figures without being the campaign.
WARNED: dict[str, tuple[str, Fact]] = {
    "as_of": ("The horizons begin at different moments", lambda run: run.manifest["as_of"]),
    "model_version": (
        "They were simulated by different model versions",
        lambda run: run.manifest["model_version"]["sha256"],
    ),
    "twins": (
        "The twins are not in the same state: events came in between, or people were erased",
        lambda run: (run.manifest["twins_sha256"], (run.result or {})["customers"]["simulated"]),
    ),
    "response": (
        "The response to a price is not the same one: the uplift differs for that reason too",
        lambda run: (run.result or {})["response"],
    ),
    "luck": (
        "Seed or number of replicates differ: a part of the difference is luck",
        lambda run: (run.seed, run.replicates),
    ),
    "unit_costs": (
        "The unit costs of products were changed in between",
        lambda run: run.manifest["economics"]["unit_costs"],
    ),
    "ranked_by": (
        "The margin of some is not known: they are compared by incremental revenue",
        lambda run: best_by(run.result or {}),
    ),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A simulation, and the place of one of its scenarios; None: its best one."""

    simulation_id: UUID
    scenario: int | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One scenario of one simulation.

    ``verdict`` is ``offer``, ``no-offer-pays`` or ``over-budget``. ``difference`` is this side
    minus the first one by ``compared_by``, with a 90 % interval where the replicates are known.
    """

    run: SimulationRun
    place: int
    scenario: Figure
    verdict: str
    difference: Figure | None

    @property
    def within_budget(self) -> bool:
        return self.verdict != "over-budget"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sides in the order asked for; ``best`` is the place of the offer that gains most, if any."""

    compared_by: str
    sides: list[Side]
    best: int | None
    warnings: dict[str, str]


def asked_of(text: str) -> list[Asked]:
    """What a query asks for: ids separated by commas, each alone or as ``ID:place``.

    Raises:
        InvalidComparison: a part is neither.
    """
    return [_asked(part.strip()) for part in text.split(",") if part.strip()]


def comparison(asked: Sequence[Asked]) -> Comparison:
    """Two to six scenarios of finished simulations beside each other.

    Raises:
        InvalidComparison: too few or too many, one twice, or a scenario that is not there.
        UnknownSimulation: there is none of that id.
        SimulationNotFinished: one has no result.
        NotComparable: audience, length of the horizon or currency differ.
    """
    if not FEWEST <= len(asked) <= MOST:
        expected = f"{FEWEST} to {MOST} simulations"
        raise InvalidComparison(field="ids", value=f"a list of {len(asked)}", expected=expected)
    runs = [_finished(one.simulation_id) for one in asked]
    _check_comparable(runs)
    places = [_place(run, one.scenario) for run, one in zip(runs, asked, strict=True)]
    _check_distinct(runs, places)
    by = "profit" if all(best_by(run.result or {}) == "profit" for run in runs) else "revenue"
    scenarios = [(run.result or {})["scenarios"][at] for run, at in zip(runs, places, strict=True)]
    sides = [
        Side(run, place, scenario, _verdict(run, scenario), difference(scenario, scenarios[0], by))
        for run, place, scenario in zip(runs, places, scenarios, strict=True)
    ]
    return Comparison(by, sides, _best(sides, by), _warnings(runs))


def figures_of(scenario: Figure) -> Figure:
    """What sides are set beside each other by, each with its interval; None where not known."""
    money = scenario.get("economics", {})
    names = ("cost", "margin", "profit", "roi")
    uplift = {name: scenario["uplift"][name] for name in ("revenue", "orders", "buyers")}
    return {**uplift, **{name: money.get(name) for name in names}}


def difference(scenario: Figure, first: Figure, by: str) -> Figure | None:
    """``scenario`` minus ``first``; None for the first itself.

    Taken within each replicate: where both share their luck, most of it cancels out.
    """
    if scenario is first:
        return None
    mean = Decimal(_gain(scenario, by)["mean"]) - Decimal(_gain(first, by)["mean"])
    mine, other = (_draws(one, by) for one in (scenario, first))
    count = min(len(mine), len(other))
    if count < FEWEST_DRAWS:
        return {"mean": str(mean), "low": None, "high": None}
    found = prediction_interval((mine[:count] - other[:count])[None, :])
    low, high = (amount(100 * end[0]) for end in (found.low, found.high))
    return {"mean": str(mean), "low": low, "high": high}


def comparable_with(run: SimulationRun) -> list[SimulationRun]:
    """The newest finished simulations that may stand beside ``run``."""
    same = simulations().filter(
        audience__sha256=run.audience.sha256,
        horizon_days=run.horizon_days,
        manifest__currency=run.manifest["currency"],
        result__isnull=False,
    )
    return list(same.exclude(id=run.id).defer("result")[:MOST_OFFERED])


def _asked(part: str) -> Asked:
    simulation_id, colon, place = part.partition(":")
    well_formed = not colon or (
        place.isascii() and place.isdecimal() and len(place) <= PLACE_DIGITS
    )
    try:
        if well_formed:
            return Asked(UUID(simulation_id), int(place) if colon else None)
    except ValueError:
        pass
    expected = "ids of simulations separated by commas, each alone or as ID:place"
    raise InvalidComparison(field="ids", value=part[:80], expected=expected)


def _finished(simulation_id: UUID) -> SimulationRun:
    run = simulation_by_id(simulation_id)
    if run.result is None:
        raise SimulationNotFinished(simulation_id=run.id, status=run.operation.status)
    return run


def _check_comparable(runs: Sequence[SimulationRun]) -> None:
    first, *others = runs
    for run in others:
        for field, fact in REFUSED.items():
            if fact(run) != fact(first):
                raise NotComparable(
                    one=first.id, other=run.id, field=field, value=fact(first), against=fact(run)
                )


def _place(run: SimulationRun, asked: int | None) -> int:
    scenarios: list[Figure] = (run.result or {})["scenarios"]
    if asked is None:
        return scenarios.index(shown_scenario(run.result or {}))
    if not 0 <= asked < len(scenarios):
        expected = f"0 to {len(scenarios) - 1}, a place in `scenarios` of simulation {run.id}"
        raise InvalidComparison(field="ids", value=f"scenario {asked}", expected=expected)
    return asked


def _check_distinct(runs: Sequence[SimulationRun], places: Sequence[int]) -> None:
    sides = [(run.id, place) for run, place in zip(runs, places, strict=True)]
    for run_id, place in sides:
        if sides.count((run_id, place)) > 1:
            value = f"scenario {place} of simulation {run_id} twice"
            raise InvalidComparison(field="ids", value=value, expected="each scenario once")


def _verdict(run: SimulationRun, scenario: Figure) -> str:
    if not scenario.get("economics", {"within_budget": True})["within_budget"]:
        return "over-budget"
    gain = Decimal(gain_of(run.result or {}, scenario)["mean"])
    return "offer" if is_offer(scenario) and gain > 0 else "no-offer-pays"


def _gain(scenario: Figure, by: str) -> Figure:
    gain: Figure = scenario["economics"]["profit"] if by == "profit" else scenario["uplift"][by]
    return gain


def _best(sides: Sequence[Side], by: str) -> int | None:
    gains = {
        place: Decimal(_gain(side.scenario, by)["mean"])
        for place, side in enumerate(sides)
        if side.verdict == "offer"
    }
    return max(gains, key=lambda place: gains[place]) if gains else None


def _draws(scenario: Figure, by: str) -> NDArray[np.float64]:
    """The replicates of a scenario; none in results of before they were kept."""
    return np.array(scenario.get("by_replicate", {}).get(by) or [], dtype=np.float64)


def _warnings(runs: Sequence[SimulationRun]) -> dict[str, str]:
    first, *others = runs
    return {
        code: words
        for code, (words, fact) in WARNED.items()
        if any(fact(run) != fact(first) for run in others)
    }
