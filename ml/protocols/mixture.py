"""The twin's mixture under protocol A: fitted before the split, folded line by line after it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ml.metrics import ItemScores
from ml.mixture.model import Mixture, Scored
from ml.protocols.next_line import NextLine


class MixtureOfLines:
    """The scores of one task, worked out once for both rows: told when the line comes, and not."""

    def __init__(self, mixture: Mixture) -> None:
        self.mixture = mixture
        self._known: tuple[NextLine, Scored] | None = None

    def untold(self, task: NextLine, advance: Callable[[int], None]) -> ItemScores:
        """Return how each target was expected, without a word on when it comes."""
        return self._scored(task, advance).untold

    def told(self, task: NextLine, advance: Callable[[int], None]) -> ItemScores:
        """The same where it is known when the line comes and whether the order goes on."""
        return self._scored(task, advance).told

    def _scored(self, task: NextLine, advance: Callable[[int], None]) -> Scored:
        if self._known is None or self._known[0] is not task:
            events, countries = task.lines.events(), task.lines.customer_countries()
            found = self.mixture.score(events, countries, from_ms=task.split_ms, on_block=advance)
            self._known = task, _at(task, found)
        return self._known[1]


def _at(task: NextLine, found: Scored) -> Scored:
    """Return the scores of the targets alone."""
    place = np.searchsorted(found.row, task.targets)
    untold, told = (
        ItemScores(scores.rank[place], scores.nll[place]) for scores in (found.untold, found.told)
    )
    return Scored(task.targets, untold, told)
