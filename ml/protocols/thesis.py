"""The thesis' protocol: ask a network for the very lines that it has learned.

It measures memory, and is here as a warning: the controls reach the same figures where there is
nothing to know, and the same network asked for lines that it has not learned knows almost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from ml.events import Floats, Integers
from ml.protocols.data import Lines
from ml.protocols.thesis_network import ThesisNetwork
from ml.timing import DAY_MS

CUSTOMERS, WINDOW, LEARNED = 100, 100, 80
EPOCHS = 100
Scored = dict[str, float]
Tell = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Windows:
    """The last lines of the busiest customers.

    Shapes: C customers, T lines; ``item`` and ``country`` are numbers, ``numbers`` (C, T, 2).
    """

    item: Integers
    numbers: Floats
    country: Integers
    items: int
    countries: int

    @staticmethod
    def of(lines: Lines, *, customers: int = CUSTOMERS, window: int = WINDOW) -> Windows:
        """Return those with most lines; of equals the first."""
        _, starts, counts = np.unique(lines.customer, return_index=True, return_counts=True)
        busiest = np.sort(np.argsort(-counts, kind="stable")[:customers])
        ends = starts[busiest] + counts[busiest]
        rows = ends[:, None] - window + np.arange(window)
        gap = np.diff(lines.at_ms, prepend=lines.at_ms[:1]) / DAY_MS
        gap[starts] = 0
        return Windows(
            item=lines.item[rows],
            numbers=np.log1p(np.stack([gap[rows], lines.total[rows]], axis=-1)),
            country=lines.country[rows[:, 0]],
            items=len(lines.items),
            countries=len(lines.countries),
        )

    def with_random_items(self, seed: int) -> Windows:
        """Return the same windows with items drawn evenly: there is nothing to know."""
        luck = np.random.default_rng(seed)
        return replace(self, item=luck.integers(0, self.items, self.item.shape))

    def shuffled(self, seed: int) -> Windows:
        """Return the same windows with each customer's lines in random order."""
        order = np.argsort(np.random.default_rng(seed).random(self.item.shape), axis=1)
        return replace(
            self,
            item=np.take_along_axis(self.item, order, axis=1),
            numbers=np.take_along_axis(self.numbers, order[:, :, None], axis=1),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """Which targets of the windows are scored: those at [begin, end) of each."""

    begin: int
    end: int


def runs(
    windows: Windows, *, seed: int = 0, main_only: bool = False
) -> list[tuple[str, Windows, int | None]]:
    """Return the thesis' run and its controls: a name, the windows, how many lines are learned."""
    main: list[tuple[str, Windows, int | None]] = [("lines 1-100", windows, None)]
    controls: list[tuple[str, Windows, int | None]] = [
        (f"lines 1-{LEARNED} of 100", windows, LEARNED),
        ("control: random items", windows.with_random_items(seed), None),
        ("control: lines shuffled", windows.shuffled(seed), None),
    ]
    return main if main_only else main + controls


def learned_and_scored(
    windows: Windows,
    *,
    seed: int = 0,
    epochs: int = EPOCHS,
    learned: int | None = None,
    on_epoch: Tell = lambda epoch: None,
) -> tuple[Scored, Scored | None]:
    """Return the figures on the lines that were learned and on those that were not.

    The first ``learned`` lines of each window are learned, one customer a batch; None: all, and
    then there are no others.
    """
    lines = windows.item.shape[1]
    last = learned or lines
    network = _learned(windows, last, seed, epochs, on_epoch)
    inside = _scored(network, windows, Asked(1, last))
    return inside, _scored(network, windows, Asked(last, lines)) if last < lines else None


def _learned(windows: Windows, lines: int, seed: int, epochs: int, on_epoch: Tell) -> ThesisNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = ThesisNetwork(
            items=windows.items, users=len(windows.item), countries=windows.countries
        )
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
        loss_of = nn.CrossEntropyLoss()
        for epoch in range(1, epochs + 1):
            for user in torch.randperm(len(windows.item)).tolist():
                item, *rest = _inputs(windows, slice(user, user + 1))
                logits = network(item[:, : lines - 1], rest[0][:, : lines - 1], *rest[1:])
                loss = loss_of(logits[0], item[0, 1:lines])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            on_epoch(epoch)
    return network.eval()


def _scored(network: ThesisNetwork, windows: Windows, asked: Asked) -> Scored:
    def logits() -> Iterator[Floats]:
        with torch.inference_mode():
            for user in range(len(windows.item)):
                item, *rest = _inputs(windows, slice(user, user + 1))
                found = network(item, *rest)[0, asked.begin - 1 : asked.end - 1]
                yield torch.log_softmax(found.double(), dim=-1).numpy()

    figures = ranked(windows, asked, logits())
    return {k: figures[k] for k in ("top_1", "top_5", "loss", "targets")}


def _inputs(windows: Windows, users: slice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    who = torch.arange(len(windows.item))[users]
    return (
        torch.from_numpy(windows.item[users]),
        torch.from_numpy(windows.numbers[users]).float(),
        who,
        torch.from_numpy(windows.country[users]),
    )


def ranked(windows: Windows, asked: Asked, scores: Iterator[Floats]) -> Scored:
    """Return top-1, top-5 and loss of one table of scores (targets, V) per customer.

    Of equal scores the item with the smaller number ranks first, as where one takes the largest.
    The loss means something for log-probabilities only.
    """
    ranks, losses = [], []
    for wanted, table in zip(windows.item[:, asked.begin : asked.end], scores, strict=True):
        own = table[np.arange(len(wanted)), wanted]
        tied_before = (table == own[:, None]) & (np.arange(windows.items) < wanted[:, None])
        ranks.append(1 + ((table > own[:, None]) | tied_before).sum(axis=1))
        losses.append(-own)
    rank = np.concatenate(ranks)
    return {
        "top_1": float((rank <= 1).mean()),
        "top_5": float((rank <= 5).mean()),
        "loss": float(np.concatenate(losses).mean()),
        "targets": float(len(rank)),
    }
