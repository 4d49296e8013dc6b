"""The networks beside the twin under protocol A: the thesis' LSTM, a GRU and a SASRec.

Windows of at most 100 inputs; the epochs are those at which the validation loss stopped falling
when these networks were searched, so that a run trains once on what lies before
the split. Early stopping on the window of this run is left out on purpose: it doubles the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.events import Integers
from ml.metrics import ItemScores
from ml.protocols.next_line import MISS, NextLine, fill
from ml.protocols.thesis_network import ThesisNetwork
from ml.timing import DAY_MS

WINDOW, BATCH, LEAST_CONTEXT = 100, 32, 50
CLIP = 5.0
UNKNOWN_USER_SHARE = 0.1
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained."""

    make: Callable[[Inputs], nn.Module]
    epochs: int
    rate: float


class Inputs:
    """Columns of every line as tensors. Row 0 of users is the unknown one."""

    def __init__(self, task: NextLine) -> None:
        lines = task.lines
        self.task = task
        self.items, self.countries = task.vocabulary, len(lines.countries)
        learned = np.unique(lines.customer[task.learned])
        user = np.zeros(lines.customers, np.int64)
        user[learned] = np.arange(1, len(learned) + 1)
        self.users = len(learned) + 1
        rows = np.arange(len(lines))
        gap = np.diff(lines.at_ms, prepend=lines.at_ms[:1]) / DAY_MS
        gap[task.customer_starts == rows] = 0
        first = (task.order_starts == rows).astype(np.float32)
        numbers = np.stack([np.log1p(gap), np.log1p(np.maximum(lines.total, 0)), first], axis=1)
        self.item = torch.from_numpy(task.item)
        self.numbers = torch.from_numpy(numbers.astype(np.float32))
        self.user = torch.from_numpy(user[lines.customer])
        self.country = torch.from_numpy(lines.country)


class ThesisLstm(nn.Module):
    """The thesis' network over all customers."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        self.inner = ThesisNetwork(
            items=inputs.items + 1, users=inputs.users, countries=inputs.countries,
            outputs=inputs.items,
        )  # fmt: skip

    def forward(self, item: Tensor, numbers: Tensor, user: Tensor, country: Tensor) -> Tensor:
        if self.training:
            luck = torch.rand(len(user)) < UNKNOWN_USER_SHARE
            user = torch.where(luck, torch.zeros_like(user), user)
        logits: Tensor = self.inner(item, numbers[..., :2], user, country)
        return logits


class Gru(nn.Module):
    """Items as 64 numbers, a GRU of 128, scores by the same item vectors."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        self.item = nn.Embedding(inputs.items + 1, 64)
        nn.init.normal_(self.item.weight, std=0.1)
        self.bias = nn.Parameter(torch.zeros(inputs.items))
        self.drop = nn.Dropout(0.25)
        self.gru = nn.GRU(64 + 3, 128, batch_first=True)
        self.out = nn.Linear(128, 64)

    def forward(self, item: Tensor, numbers: Tensor, user: Tensor, country: Tensor) -> Tensor:
        h, _ = self.gru(torch.cat([self.drop(self.item(item)), numbers], dim=-1))
        return functional.linear(self.out(h), self.item.weight[:-1], self.bias)


class SasRec(nn.Module):
    """Source: Kang and McAuley 2018, arXiv:1808.09781; two pre-norm layers of 64, full softmax."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        self.item = nn.Embedding(inputs.items + 1, 64)
        nn.init.normal_(self.item.weight, std=0.1)
        self.bias = nn.Parameter(torch.zeros(inputs.items))
        self.numbers = nn.Linear(3, 64)
        self.place = nn.Parameter(torch.randn(WINDOW, 64) * 0.02)
        self.drop = nn.Dropout(0.2)
        layer = nn.TransformerEncoderLayer(
            64, 2, dim_feedforward=128, dropout=0.2, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(
            layer, 2, norm=nn.LayerNorm(64), enable_nested_tensor=False
        )

    def forward(self, item: Tensor, numbers: Tensor, user: Tensor, country: Tensor) -> Tensor:
        length = item.shape[1]
        x = self.item(item) * math.sqrt(64) + self.numbers(numbers) + self.place[:length]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        h = self.layers(self.drop(x), mask=mask, is_causal=True)
        return functional.linear(h, self.item.weight[:-1], self.bias)


RECIPES = {
    "thesis LSTM, all customers": Recipe(ThesisLstm, 9, 3e-3),
    "GRU": Recipe(Gru, 15, 2e-3),
    "SASRec": Recipe(SasRec, 18, 2e-3),
}


def learn(task: NextLine, recipe: Recipe, *, seed: int, on_epoch: Advance) -> nn.Module:
    """Return the network after its epochs over the lines before the split."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inputs, luck = Inputs(task), np.random.default_rng(seed)
        network = recipe.make(inputs)
        optimiser = torch.optim.Adam(network.parameters(), lr=recipe.rate)
        for _ in range(recipe.epochs):
            for rows in _training_batches(task, luck):
                loss = _loss(network, inputs, rows)
                optimiser.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                nn.utils.clip_grad_norm_(network.parameters(), CLIP)
                optimiser.step()
            on_epoch(1)
    return network.eval()


def scores_of(task: NextLine, network: nn.Module) -> tuple[ItemScores, ItemScores]:
    """Return how the network did on every target, and how with the open order damped."""
    from ml.protocols.next_line_methods import damped

    inputs = Inputs(task)
    plain, masked = (
        ItemScores(np.full(len(task.targets), MISS), np.full(len(task.targets), np.nan))
        for _ in range(2)
    )
    for asked, share in _shares(task, network, inputs):
        fill_at(plain, task, asked, share)
        fill_at(masked, task, asked, damped(lambda rows, s=share: s, task)(asked))  # type: ignore[misc]
    return plain, masked


def fill_at(scores: ItemScores, task: NextLine, asked: Integers, share: np.ndarray) -> None:
    """Set the scores of consecutive targets, the lines ``asked``."""
    start = int(np.searchsorted(task.targets, asked[0]))
    block = slice(start, start + len(asked))
    fill(scores, block, share, task.wanted[block])


def _loss(network: nn.Module, inputs: Inputs, rows: Tensor) -> Tensor:
    """The mean loss of windows of lines (B, T + 1), padded with -1 at the end."""
    past, coming = rows[:, :-1].clamp(min=0), rows[:, 1:]
    wanted = torch.where(coming >= 0, inputs.item[coming.clamp(min=0)], -1)
    wanted = torch.where(wanted < inputs.items, wanted, -1)
    logits = _logits(network, inputs, past)
    chosen = wanted >= 0
    return functional.cross_entropy(logits[chosen], wanted[chosen])


def _logits(network: nn.Module, inputs: Inputs, past: Tensor) -> Tensor:
    first = past[:, 0]
    logits: Tensor = network(
        inputs.item[past], inputs.numbers[past], inputs.user[first], inputs.country[first]
    )
    return logits


def _training_batches(task: NextLine, luck: np.random.Generator) -> Iterator[Tensor]:
    """Windows at a random phase, in batches of similar length, in random order."""
    rows = np.flatnonzero(task.learned)
    starts, counts = np.unique(task.customer_starts[rows], return_counts=True)
    spans = []
    for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
        phase = int(luck.integers(0, WINDOW)) if count > WINDOW else 0
        edges = [
            start,
            *range(start + (phase or WINDOW), start + count - 1, WINDOW),
            start + count - 1,
        ]
        spans += [(a, b + 1) for a, b in pairwise(edges) if b > a]
    lengths = np.array([b - a for a, b in spans]) + luck.random(len(spans))
    order = np.argsort(lengths)
    batches = [order[n : n + BATCH] for n in range(0, len(order), BATCH)]
    for n in luck.permutation(len(batches)):
        yield _padded([spans[m] for m in batches[n]])


def _padded(spans: list[tuple[int, int]]) -> Tensor:
    longest = max(b - a for a, b in spans)
    rows = np.full((len(spans), longest), -1, dtype=np.int64)
    for n, (a, b) in enumerate(spans):
        rows[n, : b - a] = np.arange(a, b)
    return torch.from_numpy(rows)


def _shares(
    task: NextLine, network: nn.Module, inputs: Inputs
) -> Iterator[tuple[Integers, np.ndarray]]:
    """Yield consecutive targets and what the network says, from 50 lines of context at least."""
    starts = task.customer_starts[task.targets]
    half = WINDOW - LEAST_CONTEXT
    cuts = np.flatnonzero(np.diff(starts)) + 1
    for part in np.split(task.targets, cuts):
        first = int(task.customer_starts[part[0]])
        for n in range(0, len(part), half):
            asked = part[n : n + half]
            begin = max(first, int(asked[-1]) - WINDOW)
            past = torch.arange(begin, int(asked[-1])).unsqueeze(0)
            with torch.inference_mode():
                logits = _logits(network, inputs, past)[0, asked - 1 - begin]
                yield asked, torch.softmax(logits, dim=-1).numpy()
