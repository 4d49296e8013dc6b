"""How parameters are found: the most probable ones under weights of customers.

Source: Newton and Raftery 1994 (weighted likelihood bootstrap); a refit with exponential weights
for the customers is one draw of what the parameters may be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_STEPS = 200
TOLERANCE = 1e-5  # of the gradient, per customer
NUDGE = 1e-4
REFIT_STEPS = 12
REFIT_TOLERANCE = 0.05  # in standard errors of a parameter: what a draw may be off by
LEAST_CURVATURE = 0.1  # below that of any belief
DTYPE = torch.float64


@dataclass(frozen=True, slots=True)
class Prior:
    """Independent normal beliefs about named groups of parameters (P,)."""

    sizes: tuple[tuple[str, int], ...]
    mean: Tensor
    spread: Tensor

    @staticmethod
    def of(
        sizes: Mapping[str, int], spread: Mapping[str, float], mean: Mapping[str, float]
    ) -> Prior:
        """Return beliefs with one mean (0 where not given) and spread for each group."""
        means = [torch.full((n,), mean.get(g, 0.0), dtype=DTYPE) for g, n in sizes.items()]
        spreads = [torch.full((n,), spread[g], dtype=DTYPE) for g, n in sizes.items()]
        return Prior(tuple(sizes.items()), torch.cat(means), torch.cat(spreads))

    def split(self, parameters: Tensor) -> dict[str, Tensor]:
        """Return the parameters by group."""
        parts = torch.split(parameters, [size for _, size in self.sizes])
        return {name: part for (name, _), part in zip(self.sizes, parts, strict=True)}

    def shifted(self, group: str, spreads: float) -> Tensor:
        """Return the means with one group's moved by so many of its spreads."""
        named = torch.cat([torch.full((n,), name == group) for name, n in self.sizes])
        return self.mean + named * self.spread * spreads

    def surprise(self, parameters: Tensor, mean: Tensor) -> Tensor:
        """Return minus the log density around ``mean``, without constants."""
        return (((parameters - mean) / self.spread) ** 2).sum() / 2


def picked(values: Tensor, index: Tensor) -> Tensor:
    """Return ``values[index]``; the gradient adds up in order, on however many threads."""
    return values.index_select(0, index.reshape(-1)).reshape(index.shape)


def happened(event: Tensor, rate: Tensor) -> Tensor:
    """Return log likelihoods of events (0 or 1) that come with chance 1 - exp(-rate)."""
    return event * torch.log(-torch.expm1(-rate)) - (1 - event) * rate


@dataclass(frozen=True, slots=True)
class Task:
    """One part of a model to be fitted: ``loss`` (P,), (N,) -> minus the log likelihood.

    The second argument of ``loss`` are the weights of the customers.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    prior: Prior
    customers: int

    def gradient(self, at: Tensor, weights: Tensor, mean: Tensor) -> Tensor:
        """Return how loss plus surprise change with the parameters (P,)."""
        parameters = at.clone().requires_grad_(True)
        total = self.loss(parameters, weights) + self.prior.surprise(parameters, mean)
        (found,) = torch.autograd.grad(total, parameters)
        return found

    def fitted(self, start: Tensor) -> Tensor:
        """Return the most probable parameters when every customer counts once."""
        parameters = start.clone().requires_grad_(True)
        once = torch.ones(self.customers, dtype=DTYPE)
        search = torch.optim.LBFGS(
            [parameters], max_iter=MOST_STEPS, history_size=30, line_search_fn="strong_wolfe",
            tolerance_grad=TOLERANCE, tolerance_change=0,
        )  # fmt: skip

        def closure() -> Tensor:
            search.zero_grad()
            told = self.loss(parameters, once) + self.prior.surprise(parameters, self.prior.mean)
            total = told / self.customers
            total.backward()  # type: ignore[no-untyped-call]
            return total

        search.step(closure)  # type: ignore[no-untyped-call]
        return parameters.detach()

    def curvature(self, at: Tensor) -> Tensor:
        """Return the Hessian at the best parameters (P, P), by differences of the gradient."""
        once = torch.ones(self.customers, dtype=DTYPE)
        here = self.gradient(at, once, self.prior.mean)
        steps = torch.eye(len(at), dtype=DTYPE) * NUDGE
        rows = [self.gradient(at + step, once, self.prior.mean) - here for step in steps]
        found = torch.stack(rows) / NUDGE
        return (found + found.T) / 2

    def refitted(self, best: Tensor, scale: Tensor, weights: Tensor, mean: Tensor) -> Tensor:
        """Return the parameters under other weights, searched for around the best ones.

        ``scale`` is what ``spread_of`` makes of the curvature: it turns directions of which little
        is known into long ones, so that few steps are enough.
        """
        moved = torch.zeros_like(best, requires_grad=True)
        search = torch.optim.LBFGS(
            [moved], max_iter=REFIT_STEPS, max_eval=2 * REFIT_STEPS, line_search_fn="strong_wolfe",
            tolerance_grad=REFIT_TOLERANCE, tolerance_change=0,
        )  # fmt: skip

        def closure() -> Tensor:
            search.zero_grad()
            at = best + scale @ moved
            total = self.loss(at, weights) + self.prior.surprise(at, mean)
            total.backward()  # type: ignore[no-untyped-call]
            return total

        search.step(closure)  # type: ignore[no-untyped-call]
        return best + scale @ moved.detach()


def spread_of(curvature: Tensor) -> Tensor:
    """Return a square root of the inverse of a curvature (P, P), made positive where it is not."""
    values, directions = torch.linalg.eigh(curvature)
    scale: Tensor = directions / torch.sqrt(values.abs().clamp(min=LEAST_CURVATURE))
    return scale
