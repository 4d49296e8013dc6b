"""Protocol A: which item stands on a customer's next line?

A target is every line from the split on that has an earlier line of the same customer. A method
sees all true earlier lines of the customer, and of the others what it was fitted on. An item that
was never bought before the split is a miss in every rank and has no likelihood.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ml.errors import NothingToPredict
from ml.events import Floats, Integers
from ml.metrics import RANKS_COUNTED, Bootstrap, Figure, ItemScores
from ml.protocols.data import Lines, Mask

ROWS_PER_BLOCK = 256  # times some thousand items: a block stays near the processor's cache
MISS = np.iinfo(np.int64).max
LEAST = 1e-30
TOPS = (1, 5, 10, 20)
METRICS = {"top_1": "top-1", "top_5": "top-5", "top_10": "top-10", "top_20": "top-20",
           "mrr_20": "MRR@20", "nll": "NLL"}  # fmt: skip
STRATA = {
    "all_lines": "all lines",
    "first_of_order": "first line of an order",
    "later_lines": "later lines",
    "new_customers": "customers new since the split",
}

Singles = NDArray[np.float32]
Probabilities = Singles | Floats
Predict = Callable[[Integers], Probabilities]
Tell = Callable[[int], None]
Figures = dict[str, dict[str, Figure]]  # stratum -> metric -> figure


@dataclass(frozen=True)
class NextLine:
    """The task: lines, where to split them, and which rows ask.

    ``item`` (N,) are rows of the vocabulary, ``vocabulary`` where an item is not in it.
    ``targets`` (T,) are ascending row numbers of lines.
    """

    lines: Lines
    split_ms: int
    item: Integers
    vocabulary: int
    targets: Integers

    @staticmethod
    def of(
        lines: Lines,
        split_ms: int,
        *,
        until_ms: int | None = None,
        sample: int | None = None,
        seed: int = 0,
    ) -> NextLine:
        """Return the targets in [split_ms, until_ms), or a random ``sample`` of them.

        Raises:
            NothingToPredict: there are none, or no line before the split.
        """
        learned = lines.at_ms < split_ms
        asked = ~learned & (lines.customer_starts() < np.arange(len(lines)))
        if until_ms is not None:
            asked &= lines.at_ms < until_ms
        targets = np.flatnonzero(asked)
        if not learned.any() or not len(targets):
            raise NothingToPredict(
                split_ms=split_ms, before=int(learned.sum()), targets=len(targets)
            )
        if sample is not None and sample < len(targets):
            chosen = np.random.default_rng(seed).choice(len(targets), sample, replace=False)
            targets = targets[np.sort(chosen)]
        item, vocabulary = _renumbered(lines.item, learned, len(lines.items))
        return NextLine(lines, split_ms, item, vocabulary, targets)

    @cached_property
    def learned(self) -> Mask:
        """The lines before the split: what a method may be fitted on."""
        return self.lines.at_ms < self.split_ms

    @cached_property
    def wanted(self) -> Integers:
        """The items asked for (T,); ``vocabulary`` where one is unknown."""
        return self.item[self.targets]

    @cached_property
    def known(self) -> Mask:
        """The targets (T,) whose item is in the vocabulary."""
        return self.wanted < self.vocabulary

    @cached_property
    def customer_starts(self) -> Integers:
        """For each line (N,) the row of its customer's first line."""
        return self.lines.customer_starts()

    @cached_property
    def order_starts(self) -> Integers:
        """For each line (N,) the row at which its order begins."""
        return self.lines.order_starts()

    @cached_property
    def items(self) -> tuple[str, ...]:
        """The names of the vocabulary's rows."""
        return tuple(self.lines.items[code] for code in np.unique(self.lines.item[self.learned]))

    def strata(self) -> dict[str, Mask]:
        """Return which targets (T,) belong to each stratum."""
        first = self.order_starts[self.targets] == self.targets
        new = self.customer_starts[self.targets]
        return {
            "all_lines": np.ones(len(self.targets), dtype=np.bool_),
            "first_of_order": first,
            "later_lines": ~first,
            "new_customers": ~self.learned[new],
        }


def score(
    task: NextLine,
    predict: Predict,
    *,
    rows_per_block: int = ROWS_PER_BLOCK,
    on_block: Tell = lambda targets: None,
) -> ItemScores:
    """Return rank and negative log-likelihood of every target.

    ``predict`` is given ascending rows of lines (B,) and returns probabilities (B, V) for what
    stands on them; it may read everything of the customer's rows before each of them, the time of
    the row itself, and nothing else of it. Ties count against the method.
    """
    scores = ItemScores(np.full(len(task.targets), MISS), np.full(len(task.targets), np.nan))
    for start in range(0, len(task.targets), rows_per_block):
        block = slice(start, min(start + rows_per_block, len(task.targets)))
        share = predict(task.targets[block])
        fill(scores, block, share, task.wanted[block])
        on_block(block.stop - block.start)
    return scores


def fill(scores: ItemScores, block: slice, share: Probabilities, wanted: Integers) -> None:
    """Set the scores of one block of targets; ``wanted`` beyond the last column is a miss."""
    known = np.flatnonzero(wanted < share.shape[1])
    own = share[known, wanted[known]]
    chosen = share if len(known) == len(share) else share[known]
    scores.rank[block.start + known] = (chosen >= own[:, None]).sum(axis=1)
    # A method may rule out what happened. An infinite loss would drop out of the mean.
    scores.nll[block.start + known] = -np.log(np.maximum(own.astype(np.float64), LEAST))


def values(scores: ItemScores) -> dict[str, Floats]:
    """Return one value per target and metric."""
    tops = {f"top_{k}": (scores.rank <= k).astype(np.float64) for k in TOPS}
    reciprocal = np.where(scores.rank <= RANKS_COUNTED, 1 / scores.rank, 0.0)
    return {**tops, "mrr_20": reciprocal, "nll": scores.nll}


def figures(task: NextLine, scores: ItemScores, *, draws: int = 300, seed: int = 0) -> Figures:
    """Return every metric in every stratum with its customer-bootstrap 95 % interval."""
    bootstrap = Bootstrap(task.lines.customer[task.targets], draws=draws, seed=seed)
    columns = values(scores)
    return {name: bootstrap.figures(columns, where) for name, where in task.strata().items()}


def _renumbered(item: Integers, learned: Mask, items: int) -> tuple[Integers, int]:
    present = np.unique(item[learned])
    rows = np.full(items, len(present), dtype=np.int64)
    rows[present] = np.arange(len(present))
    return rows[item], len(present)
