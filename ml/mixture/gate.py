"""The gate: how much each component is believed at a moment, and how much the open order is damped.

Source: a mixture of experts after Jacobs et al. 1991, whose experts are counters and do not learn.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml.events import Floats, Integers
from ml.mixture.inputs import Singles
from ml.modes import predicting

LEAST = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """How a gate is built and learned; ``patience`` counts epochs without a better loss."""

    hidden: int = 64
    dropout: float = 0.1
    learning_rate: float = 2e-3
    batch: int = 512
    epochs: int = 40
    patience: int = 4
    held_out: float = 0.2
    bound: float = 5.0  # of each standardised input
    seed: int = 0


@dataclass(frozen=True, slots=True)
class GateTargets:
    """Lines that a gate learns from. ``damped`` says that the item was in the open order already.

    Shapes: ``p`` and ``mass`` (N, K): what the components gave to the item and to the whole open
    order; ``damped`` and ``customer`` (N,).
    """

    p: Floats
    mass: Floats
    damped: NDArray[np.bool_]
    customer: Integers


class Gate(nn.Module):
    """Weights of K components that sum to 1, and a damping between 0 and 1.

    Shapes: N moments, F inputs, K components.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, size: int, components: int, config: GateConfig) -> None:
        super().__init__()
        self.bound = config.bound
        self.layers = nn.Sequential(
            nn.Linear(size, config.hidden), nn.ReLU(), nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.hidden), nn.ReLU(), nn.Dropout(config.dropout),
            nn.Linear(config.hidden, components + 1),
        )  # fmt: skip
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logarithms of the weights (N, K) and the damping (N,) for inputs (N, F)."""
        x = (inputs - self.mean) / self.scale
        raw = self.layers(x.clamp(-self.bound, self.bound))
        return torch.log_softmax(raw[:, :-1], dim=-1), torch.sigmoid(raw[:, -1])

    def weigh(self, inputs: Singles) -> tuple[Floats, Floats]:
        """Return weights (N, K) and damping (N,) at these moments."""
        with predicting(self):
            log_weights, damping = self(torch.from_numpy(inputs))
            shares = torch.softmax(log_weights, dim=-1, dtype=torch.float64)
        return shares.numpy(), damping.numpy().astype(np.float64)

    def standardise(self, inputs: Tensor) -> None:
        """Take mean and scale from what the gate will learn from."""
        self.mean.copy_(inputs.mean(dim=0))
        self.scale.copy_(inputs.std(dim=0).clamp(min=1e-3))


def losses(log_weights: Tensor, damping: Tensor, p: Tensor, mass: Tensor, damped: Tensor) -> Tensor:
    """Return the negative log-likelihood (N,) of lines under the damped mixture."""
    weights = log_weights.exp()
    own = torch.log((weights * p).sum(dim=1).clamp(min=LEAST))
    whole = 1 - (1 - damping) * (weights * mass).sum(dim=1)
    lowered = torch.where(damped, torch.log(damping.clamp(min=LEAST)), 0.0)
    return torch.log(whole.clamp(min=LEAST)) - own - lowered


def fit_gate(inputs: Singles, targets: GateTargets, config: GateConfig) -> tuple[Gate, float]:
    """Return a gate learned on most customers and its mean loss on those held out.

    Equal arguments give an equal gate on one machine with one number of threads.
    """
    rng = np.random.default_rng(config.seed)
    customers = np.unique(targets.customer)
    out = rng.choice(customers, max(1, int(config.held_out * len(customers))), replace=False)
    held = np.isin(targets.customer, out)
    if held.all():
        held[:] = False
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        gate = Gate(inputs.shape[1], targets.p.shape[1], config)
        gate.standardise(torch.from_numpy(inputs))
        columns = [torch.from_numpy(inputs), *_target_tensors(targets)]
        return gate, _search(
            gate, columns, np.flatnonzero(~held), np.flatnonzero(held), config, rng
        )


def _search(
    gate: Gate, columns: list[Tensor], learned: Integers, held: Integers, config: GateConfig,
    rng: np.random.Generator,
) -> float:  # fmt: skip
    """Learn until the held-out loss stops falling; the gate ends with the best weights."""
    optimiser = torch.optim.Adam(gate.parameters(), lr=config.learning_rate)
    best, best_loss, waited = copy.deepcopy(gate.state_dict()), float("inf"), 0
    judged = torch.from_numpy(held if len(held) else learned)
    for _ in range(config.epochs):
        gate.train()
        for rows in _batches(learned, config.batch, rng):
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(_loss(gate, columns, rows))
            optimiser.step()
        gate.eval()
        with torch.inference_mode():
            loss = float(_loss(gate, columns, judged))
        waited = 0 if loss < best_loss else waited + 1
        if not waited:
            best, best_loss = copy.deepcopy(gate.state_dict()), loss
        if waited >= config.patience:
            break
    gate.load_state_dict(best)
    gate.eval()
    return best_loss


def _loss(gate: Gate, columns: list[Tensor], rows: Tensor) -> Tensor:
    inputs, *target = (column[rows] for column in columns)
    return losses(*gate(inputs), *target).mean()


def _batches(rows: Integers, size: int, rng: np.random.Generator) -> Iterator[Tensor]:
    mixed = torch.from_numpy(rng.permutation(rows))
    yield from torch.split(mixed, size)


def _target_tensors(targets: GateTargets) -> list[Tensor]:
    p, mass = (torch.from_numpy(c.astype(np.float32)) for c in (targets.p, targets.mass))
    return [p, mass, torch.from_numpy(targets.damped)]
