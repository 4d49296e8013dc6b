"""Many runs of the coverage test, one after the other or several at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context

import torch

from ml.shop.coverage import IntervalOf, Run, Task, one_run


def many_runs(
    task: Task,
    seeds: range,
    interval: IntervalOf,
    *,
    workers: int = 1,
    learned_only: bool = False,
    on_run: Callable[[], None] = lambda: None,
) -> list[Run]:
    """Return one run for each seed, in their order; they do not depend on ``workers``.

    ``interval`` has to be a function of a module, which other processes can import.

    Raises:
        NoOffersToLearnFrom: a shop is too small for what is asked of it.
    """
    ask = partial(one_run, task, interval=interval, learned_only=learned_only)
    runs = []
    with _mapped(workers) as mapped:
        for run in mapped(ask, seeds):
            runs.append(run)
            on_run()
    return runs


Mapped = Callable[[Callable[[int], Run], range], Iterator[Run]]


@contextmanager
def _mapped(workers: int) -> Iterator[Mapped]:
    """Give a map over this process or over several, each with one thread."""
    if workers == 1:
        yield map
        return
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_alone
    ) as processes:
        yield processes.map


def _alone() -> None:
    """One thread for each process: they would only stand in each other's way."""
    torch.set_num_threads(1)
