"""What a benchmark found, and how it is told."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Medians over ``rounds`` rounds.

    ``figure`` and ``limit`` count ``unit``; ``ratio`` is the median of the rounds' own ratios,
    because the machine's speed drifts between rounds.
    """

    name: str
    rounds: int
    figure: float
    unit: str
    limit: float
    ratio: float
    limit_is: str
    p50_ms: float | None = None
    p99_ms: float | None = None
    beside: Mapping[str, float] = field(default_factory=dict)  # other limits, the same unit
    facts: Mapping[str, float] = field(default_factory=dict)  # anything else, by name and unit

    def __str__(self) -> str:
        text = (
            f"{self.name:<10} {self.figure:>12,.0f} {self.unit:<12} "
            f"limit {self.limit:>12,.0f} ({self.limit_is})  ratio {self.ratio:.2f}  "
            f"median of {self.rounds} rounds"
        )
        for what, speed in self.beside.items():
            text += f"  beside {what} {speed:,.0f} (ratio {self.figure / speed:.2f})"
        if self.p50_ms is not None and self.p99_ms is not None:
            text += f"  p50 {self.p50_ms:.1f} ms  p99 {self.p99_ms:.1f} ms"
        for what, value in self.facts.items():
            text += f"  {what} {value:.1f}"
        return text


@dataclass(frozen=True, slots=True)
class Round:
    """What one round measured: the path, the limit, and other limits by name; units a second."""

    figure: float
    limit: float
    beside: Mapping[str, float] = field(default_factory=dict)


def compare(
    *,
    name: str,
    unit: str,
    limit_is: str,
    rounds: int,
    path: Callable[[], float],
    limit: Callable[[], float],
    latencies_ms: Sequence[float] | None = None,
) -> Result:
    """Measure ``path`` and ``limit`` (each returns units per second) in turn, round by round."""
    found = [Round(path(), limit()) for _ in range(rounds)]
    return from_rounds(
        name=name, unit=unit, limit_is=limit_is, rounds=found, latencies_ms=latencies_ms
    )


def from_rounds(
    *,
    name: str,
    unit: str,
    limit_is: str,
    rounds: Sequence[Round],
    latencies_ms: Sequence[float] | None = None,
) -> Result:
    """The medians of what was measured."""
    cuts = statistics.quantiles(latencies_ms, n=100) if latencies_ms else None
    return Result(
        name=name,
        rounds=len(rounds),
        unit=unit,
        limit_is=limit_is,
        figure=statistics.median(one.figure for one in rounds),
        limit=statistics.median(one.limit for one in rounds),
        ratio=statistics.median(one.figure / one.limit for one in rounds),
        p50_ms=cuts[49] if cuts else None,
        p99_ms=cuts[98] if cuts else None,
        beside={
            what: statistics.median(one.beside[what] for one in rounds)
            for what in (rounds[0].beside if rounds else ())
        },
    )


def write_json(results: Sequence[Result], file: Path) -> None:
    """One object for one benchmark, a list for several."""
    found = [asdict(result) for result in results]
    file.write_text(json.dumps(found[0] if len(found) == 1 else found, indent=2) + "\n")
