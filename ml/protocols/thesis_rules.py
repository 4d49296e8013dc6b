"""Counting rules beside the thesis' network: on the lines that they counted, and on others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ml.events import Floats
from ml.protocols.thesis import Asked, Scored, Windows, ranked

Scorer = Callable[[], Iterator[Floats]]


def rules_inside(windows: Windows) -> dict[str, Scored]:
    """Return what tables of the very lines asked for reach."""
    asked = Asked(1, windows.item.shape[1])
    return _all(windows, asked, {
        "most frequent overall": lambda: _overall(windows, asked, asked),
        "customer's most frequent, all lines known": lambda: _own_all(windows, asked),
        "customer's most frequent so far": lambda: _own_so_far(windows, asked),
        "Markov, everybody's transitions": lambda: _markov(windows, asked, asked.end),
        "Markov, the customer's transitions": lambda: _own_markov(windows, asked),
    })  # fmt: skip


def rules_outside(windows: Windows, learned: int) -> dict[str, Scored]:
    """Return what tables of the first ``learned`` lines reach on the others."""
    asked = Asked(learned, windows.item.shape[1])
    return _all(windows, asked, {
        "most frequent overall": lambda: _overall(windows, Asked(0, learned), asked),
        "customer's most frequent so far": lambda: _own_so_far(windows, asked),
        "Markov, everybody's transitions": lambda: _markov(windows, asked, learned),
    })  # fmt: skip


def _all(windows: Windows, asked: Asked, rules: dict[str, Scorer]) -> dict[str, Scored]:
    figures = {name: ranked(windows, asked, scores()) for name, scores in rules.items()}
    return {
        name: {k: v for k, v in found.items() if k != "loss"} for name, found in figures.items()
    }


def _counts(windows: Windows, begin: int, end: int) -> Floats:
    return np.bincount(windows.item[:, begin:end].ravel(), minlength=windows.items).astype(float)


def _overall(windows: Windows, counted: Asked, asked: Asked) -> Iterator[Floats]:
    counts = _counts(windows, counted.begin, counted.end)
    for _ in windows.item:
        yield np.broadcast_to(counts, (asked.end - asked.begin, windows.items))


def _own_all(windows: Windows, asked: Asked) -> Iterator[Floats]:
    for items in windows.item:
        counts = np.bincount(items, minlength=windows.items).astype(float)
        yield np.broadcast_to(counts, (asked.end - asked.begin, windows.items))


def _own_so_far(windows: Windows, asked: Asked) -> Iterator[Floats]:
    for items in windows.item:
        seen = np.zeros((len(items), windows.items))
        seen[np.arange(1, len(items)), items[:-1]] = 1
        yield np.cumsum(seen, axis=0)[asked.begin : asked.end]


def _markov(windows: Windows, asked: Asked, counted: int) -> Iterator[Floats]:
    after = np.zeros((windows.items, windows.items), np.float32)
    np.add.at(after, (windows.item[:, : counted - 1], windows.item[:, 1:counted]), 1)
    for items in windows.item:
        yield after[items[asked.begin - 1 : asked.end - 1]]


def _own_markov(windows: Windows, asked: Asked) -> Iterator[Floats]:
    for items in windows.item:
        after: dict[int, Floats] = {}
        for before, then in zip(items[:-1].tolist(), items[1:].tolist(), strict=True):
            after.setdefault(before, np.zeros(windows.items))[then] += 1
        yield np.stack([after[item] for item in items[asked.begin - 1 : asked.end - 1].tolist()])
