"""The twin's own model under the protocols: learned before the split, or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from ml.encoding import encode
from ml.errors import MlError
from ml.events import Floats, Integers
from ml.fold import fold_states
from ml.protocols.data import Lines
from ml.protocols.next_line import NextLine, Predict, Singles
from ml.protocols.next_line_methods import FLOOR
from ml.protocols.next_line_parts import Popularity
from ml.rhythm.days import PurchaseDays
from ml.rhythm.fit import Ended
from ml.rhythm.likelihood import Waiting
from ml.rhythm.model import Rhythm
from ml.rhythm.spells import Counts, Spells
from ml.rhythm.statistics import Purchases
from ml.timing import DAY_MS
from ml.training import EpochReport, TrainingConfig, train
from ml.twin import TwinModel


class SawTheTest(MlError):
    """A model that has learned from what it is asked for says nothing about the future."""

    code = "saw-the-test"
    template = (
        "model {name} learned from events before {cut_off}, and protocol {letter} asks from "
        "{split} on: it has seen what it would be asked for. Leave --model out to have a model "
        "trained on what lies before the split, or name one with an earlier cut-off"
    )


def trained(
    lines: Lines,
    *,
    cut_off_ms: int,
    validation_ms: int,
    epochs: int | None = None,
    seed: int = 0,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> TwinModel:
    """Return a model of the lines before ``cut_off_ms``, the later ones not even shown to it."""
    past = lines.rows(lines.at_ms < cut_off_ms)
    config = TrainingConfig(seed=seed)
    if epochs is not None:
        config = replace(config, epochs=epochs)
    found = train(
        past.events(),
        past.customer_countries(),
        config,
        cut_off_ms=cut_off_ms,
        validation_from_ms=validation_ms,
        on_epoch=on_epoch,
    )
    return found.model


@dataclass(frozen=True, slots=True)
class Expected:
    """What the twins expect from a cut on. Shapes: (C,); ``spend`` is per purchase day."""

    chance: Floats
    purchase_days: Floats
    spend: Floats


class TwinStatesOfLines:
    """The state of each customer's twin after each line: h (N, H)."""

    def __init__(self, model: TwinModel, lines: Lines) -> None:
        self.model, self.lines = model.eval(), lines
        events = lines.events()
        start = model.initial_state(lines.customer_countries())
        columns = encode(events, start, model.dictionaries)
        self.h = fold_states(model, columns, events.customer, start.h, start.c)

    def item_shares(self, task: NextLine, *, told: bool) -> Predict:
        """Return the method that says what the twin said just before each line.

        ``told``: it knows whether the line opens an order. Items that the model does not know get
        what the floor gives them.
        """
        rows = {sku: row for row, sku in enumerate(self.model.dictionaries.items)}
        column = np.array([rows.get(sku, -1) for sku in task.items])
        floor = np.float32(FLOOR) * Popularity(task).share
        known = torch.from_numpy(column[column >= 0])

        def predicted(asked: Integers) -> Singles:
            h = self.h[torch.from_numpy(asked - 1)].to(self.model.device)
            same = task.order_starts[asked] < asked
            kind = torch.from_numpy(same.astype(np.float32)).to(h.device) if told else None
            with torch.inference_mode():
                log_share = torch.log_softmax(self.model.item_logits(h, kind), dim=1).cpu()
            share = np.repeat(floor[None, :], len(asked), axis=0)
            share[:, column >= 0] += (1 - FLOOR) * log_share[:, known].exp().numpy()
            return share

        return predicted

    def spell_likelihood(self, spells: Spells) -> Floats:
        """Return the logarithm of the probability of the day on which each spell ended.

        That no order came on the rest of its first day is given.
        """
        days = PurchaseDays.of(self.lines)
        span = int(max(days.day.max(), spells.end.max())) + 1
        rows = np.searchsorted(
            days.customer * span + days.day, spells.customer * span + spells.start
        )
        waiting = Waiting(
            customer=spells.customer, ended=Ended.of(days).rows(rows), begin=spells.start,
            end=spells.end, observed=spells.observed,
        )  # fmt: skip
        return waiting.log_likelihood(self.model.rhythm.law)

    def expected(self, counts: Counts, cut_day: int, horizon: int) -> Expected:
        """Return what each customer is expected to do in the ``horizon`` days from the cut."""
        known, rhythm = self._known(counts, cut_day), self.model.rhythm
        nobody = np.zeros(len(known), np.int64)  # everybody has bought: no other clock is read
        own = rhythm.own(known, nobody, nobody)
        began = np.full(len(known), cut_day)
        return Expected(
            chance=-np.expm1(-rhythm.day_hazards(own, began, horizon).sum(axis=1)),
            purchase_days=rhythm.counts.purchase_days(rhythm.law, known, cut_day, horizon),
            spend=rhythm.counts.spend_per_day(known),
        )

    def expected_anew(self, counts: Counts, cut_day: int, horizon: int) -> Floats:
        """Return on how many days each buys, by a rhythm that is learned before that very cut.

        All that the twins say of it comes from their rhythm; the network has no part in it.
        """
        past = self.lines.events().rows(self.lines.day < cut_day)
        rhythm = Rhythm.fit(past, cut_off_ms=cut_day * DAY_MS)
        known = self._known(counts, cut_day)
        return rhythm.counts.purchase_days(rhythm.law, known, cut_day, horizon)

    def _known(self, counts: Counts, cut_day: int) -> Purchases:
        past = self.lines.events().rows(self.lines.day < cut_day)
        return Purchases.none(self.lines.customers).folded(past).rows(counts.customer)
