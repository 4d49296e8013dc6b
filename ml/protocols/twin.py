"""The twin's own model under the protocols: learned before the split, or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

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
from ml.protocols.timing_data import Counts, Spells
from ml.survival import TimeTensors
from ml.timing import DAY_MS
from ml.training import EpochReport, TrainingConfig, train
from ml.twin import TwinModel

LEAST = 1e-12


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

        The twin's time runs on from its last line of the day; that no order came on the rest of
        that day is given.
        """
        row, time = self._times(spells.customer, spells.start)

        def log_survival(day: Integers) -> Floats:
            end_ms = (day + 1) * DAY_MS
            waited = torch.from_numpy((end_ms - self.lines.at_ms[row]) / DAY_MS)
            with torch.inference_mode():
                return np.asarray(time.log_survival(waited).numpy())

        given = log_survival(spells.start)
        before = log_survival(spells.end - 1) - given
        after = log_survival(spells.end) - given
        ended = np.log(np.maximum(np.exp(before) - np.exp(after), LEAST))
        return np.where(spells.observed, ended, after)

    def chances(self, counts: Counts, cut_day: int, horizon: int) -> Floats:
        """Return the chance that each customer orders in the ``horizon`` days from the cut."""
        row, time = self._times(counts.customer, np.full(len(counts.customer), cut_day - 1))
        waited = torch.from_numpy((cut_day * DAY_MS - self.lines.at_ms[row]) / DAY_MS)
        with torch.inference_mode():
            now, then = time.log_survival(waited), time.log_survival(waited + horizon)
        return np.asarray(-np.expm1((then - now).numpy()))

    def _times(self, customer: Integers, day: Integers) -> tuple[Integers, TimeTensors]:
        """Return each customer's last line up to a day, and the time that the twin then expects."""
        span = int(self.lines.day.max()) + 2
        keys = self.lines.customer * span + self.lines.day
        row = np.searchsorted(keys, customer * span + day, side="right") - 1
        with torch.inference_mode():
            time = self.model.output(self.h[torch.from_numpy(row)].to(self.model.device)).time
        parts = (time.scale_days, time.shape, time.never_share)
        return row, TimeTensors(*(part.cpu().double() for part in parts))
