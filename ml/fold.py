"""The batched fold: many histories through the core at once, without padding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.encoding import COLUMNS, Columns
from ml.events import Integers
from ml.modes import predicting

if TYPE_CHECKING:
    from ml.twin import TwinModel

EVENTS_PER_RUN = 32_768  # bounds memory: about 60 MB of activations
STEPS_PER_RUN = 2_048
LEAST_OF_A_RUN = 8  # events that a customer counts for: its state has to be held as well

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Packing:
    """Rows of several sequences, time step by time step.

    ``order`` are the sequences longest first, ``rows`` the table rows step by step, ``steps`` how
    many sequences have a t-th row.
    """

    order: Integers
    rows: Integers
    steps: Tensor


def pack(starts: Integers, lengths: Integers) -> Packing:
    """Return the packing of sequences that are ranges of table rows, each at least one long."""
    order = np.argsort(-lengths, kind="stable")
    longest = int(lengths.max())
    steps = len(lengths) - lengths[order[::-1]].searchsorted(np.arange(longest), side="right")
    total = int(lengths.sum())
    time = np.repeat(np.arange(longest), steps)
    position = np.arange(total) - np.repeat(np.cumsum(steps) - steps, steps)
    rows = starts[order][position] + time
    return Packing(order=order, rows=rows, steps=torch.from_numpy(steps.astype(np.int64)))


def as_tensors(columns: Columns, device: torch.device) -> dict[str, Tensor]:
    """Return the columns as keyword arguments of ``encode_step``."""
    named = {name: np.ascontiguousarray(getattr(columns, name)) for name in COLUMNS}
    return {name: torch.from_numpy(column).to(device) for name, column in named.items()}


def runs(customer: Integers) -> Iterator[tuple[Integers, Integers, Integers]]:
    """Yield customers, first rows and lengths so that each run is bounded and nothing is skipped.

    Customers of similar length go together; a long history comes in several runs, in order.
    """
    first = np.ones(len(customer), dtype=np.bool_)
    first[1:] = customer[1:] != customer[:-1]
    starts = np.flatnonzero(first)
    who, lengths = customer[starts], np.append(starts[1:], len(customer))[: len(starts)] - starts
    by_length = np.argsort(lengths, kind="stable")
    weight = np.minimum(np.maximum(lengths[by_length], LEAST_OF_A_RUN), STEPS_PER_RUN)
    run = weight.cumsum() // EVENTS_PER_RUN
    for part in np.split(by_length, np.flatnonzero(run[1:] != run[:-1]) + 1):
        done = np.zeros(len(part), dtype=np.int64)
        while len(part):
            size = np.minimum(lengths[part] - done, STEPS_PER_RUN)
            yield who[part], starts[part] + done, size
            left = lengths[part] - done > size
            part, done = part[left], (done + size)[left]


def fold(
    model: TwinModel, columns: Columns, customer: Integers, h: Singles, c: Singles
) -> tuple[Singles, Singles]:
    """Return ``h`` and ``c`` after all rows; customers without rows keep theirs."""
    after = h.copy(), c.copy()
    _fold_into(model, columns, customer, after, None)
    return after


def fold_states(
    model: TwinModel, columns: Columns, customer: Integers, h: Singles, c: Singles
) -> Tensor:
    """Return the hidden state (N, H) after every row, in the speed and precision of training."""
    every = torch.empty((len(columns), h.shape[1]), dtype=torch.float32)
    _fold_into(model, columns, customer, (h.copy(), c.copy()), every)
    return every


def _fold_into(
    model: TwinModel,
    columns: Columns,
    customer: Integers,
    state: tuple[Singles, Singles],
    every: Tensor | None,
) -> None:
    h, c = state
    with predicting(model):
        for who, starts, lengths in runs(customer):
            packing = pack(starts, lengths)
            rows = who[packing.order]
            x = model.encode_step(**as_tensors(columns.rows(packing.rows), model.device))
            before = (torch.from_numpy(part[rows]).to(model.device) for part in state)
            if every is None:
                last_h, last_c = model.core.fold(x, packing.steps, *before)
            else:
                states, last_h, last_c = model.core.run(x, packing.steps, *before)
                every[torch.from_numpy(packing.rows)] = states.cpu()
            h[rows], c[rows] = last_h.cpu().numpy(), last_c.cpu().numpy()
