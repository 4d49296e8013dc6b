"""Whether a process needs more memory where a shop has ten times as many customers.

Both shops run for as many days, so a customer has as many events in both. Each is advanced from the
first event by a process of its own, and a campaign for all its customers is simulated by another,
whose peaks of memory and speeds are compared.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.advancing import forget_twins, learned
from benchmarks.ground import shop_file
from benchmarks.result import Result

TRAINED_ON, FEW, MANY = 500, 5_000, 50_000
DAYS = 60
ADVANCE = ["advance_twins"]
SIMULATE = ["simulate_campaign", "--depths", "0.1", "--delays", "0", "--replicates", "2"]


@dataclass(frozen=True, slots=True)
class _Done:
    """What one process did: units per second, and the most memory it held."""

    speed: float
    peak_mb: float


def run(folder: Path, rounds: int) -> list[Result]:
    """Of one round: what is compared differs by far more than rounds do."""
    learned(shop_file(folder, TRAINED_ON, days=DAYS), "synthetic_shop")
    found = [_both(folder, customers) for customers in (FEW, MANY)]
    advanced, simulated = zip(*found, strict=True)
    return [
        _compared("growth", "events/s", *advanced),
        _compared("growth of simulations", "customers/s", *simulated),
    ]


def _compared(name: str, unit: str, few: _Done, many: _Done) -> Result:
    return Result(
        name=name,
        rounds=1,
        figure=many.speed,
        unit=unit,
        limit=few.speed,
        limit_is=f"{FEW:,} customers instead of {MANY:,}",
        ratio=many.speed / few.speed,
        facts={
            f"MB at {FEW:,} customers": few.peak_mb,
            f"MB at {MANY:,} customers": many.peak_mb,
        },
    )


def _both(folder: Path, customers: int) -> tuple[_Done, _Done]:
    """Advance all twins of a shop of so many customers, then simulate a campaign for them."""
    from twins.selectors import events_total

    _imported(folder, customers)
    forget_twins()
    seconds, advance_mb = _run(ADVANCE)
    advanced = _Done(events_total() / seconds, advance_mb)
    seconds, simulate_mb = _run(SIMULATE)
    return advanced, _Done(customers / seconds, simulate_mb)


def _imported(folder: Path, customers: int) -> None:
    from common.clock import now
    from events.mapping import load_mapping
    from events.services.importing import import_file

    file = shop_file(folder, customers, days=DAYS)
    import_file(path=file, mapping=load_mapping("synthetic_shop"), at=now())


def _run(arguments: list[str]) -> tuple[float, float]:
    """Return the seconds that a command took, and its peak of memory in MB."""
    begun = time.perf_counter()
    command = [sys.executable, "manage.py", *arguments]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - constants
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with status {status}")
    return time.perf_counter() - begun, used.ru_maxrss / 1024
