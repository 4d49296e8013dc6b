"""Whether an advancer needs more memory where a shop has ten times as many customers.

Both shops run for as many days, so a customer has as many events in both. Each is advanced from the
first event by a process of its own, whose peak of memory and events per second are compared.
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
COMMAND = [sys.executable, "manage.py", "advance_twins"]


@dataclass(frozen=True, slots=True)
class _Advanced:
    """What one process did: events per second, and the most memory it held."""

    events_per_second: float
    peak_mb: float


def run(folder: Path, rounds: int) -> Result:
    """Of one round: what is compared differs by far more than rounds do."""
    learned(shop_file(folder, TRAINED_ON, days=DAYS), "synthetic_shop")
    few, many = _advanced(folder, FEW), _advanced(folder, MANY)
    return Result(
        name="growth",
        rounds=1,
        figure=many.events_per_second,
        unit="events/s",
        limit=few.events_per_second,
        limit_is=f"{FEW:,} customers instead of {MANY:,}",
        ratio=many.events_per_second / few.events_per_second,
        facts={
            f"MB at {FEW:,} customers": few.peak_mb,
            f"MB at {MANY:,} customers": many.peak_mb,
        },
    )


def _imported(folder: Path, customers: int) -> None:
    from common.clock import now
    from events.mapping import load_mapping
    from events.services.importing import import_file

    file = shop_file(folder, customers, days=DAYS)
    import_file(path=file, mapping=load_mapping("synthetic_shop"), at=now())


def _advanced(folder: Path, customers: int) -> _Advanced:
    from twins.selectors import events_total

    _imported(folder, customers)
    forget_twins()
    begun = time.perf_counter()
    child = subprocess.Popen(COMMAND, stdout=subprocess.DEVNULL)  # noqa: S603 - a constant
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begun
    if status:
        raise RuntimeError(f"{' '.join(COMMAND)} ended with status {status}")
    return _Advanced(events_total() / seconds, used.ru_maxrss / 1024)
