"""Time to the next order on tensors: the same formulas as ``timing``, in logarithms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

SHORTEST_DAYS = 1 / 1440  # one minute: times are recorded to the minute, a density at 0 has none


@dataclass(frozen=True, slots=True)
class TimeTensors:
    """Parameters of ``timing.TimeToOrder`` for many customers.

    Shapes: all equal; every method returns that shape. Times are days since the last event.
    """

    scale_days: Tensor
    shape: Tensor
    never_share: Tensor

    def log_survival(self, days: Tensor) -> Tensor:
        """Return the log-probability that no order comes within ``days``; exactly 0 at 0."""
        waiting = torch.log1p(-self.never_share) - functional.softplus(self._log_odds(days))
        value = torch.logaddexp(torch.log(self.never_share), waiting)
        return torch.where(days > 0, value.clamp(max=0.0), torch.zeros_like(value))

    def log_density(self, days: Tensor) -> Tensor:
        """Return the log-density (per day) of an order at ``days``, at least one minute."""
        time = days.clamp(min=SHORTEST_DAYS)
        z = self._log_odds(time)
        share = torch.log1p(-self.never_share)
        return share + torch.log(self.shape) - torch.log(time) + z - 2 * functional.softplus(z)

    def cumulative_hazard(self, days: Tensor) -> Tensor:
        """Return ``-log survival``."""
        return -self.log_survival(days)

    def inverse_cumulative_hazard(self, hazard: Tensor) -> Tensor:
        """Return the days at which the cumulative hazard reaches ``hazard``; inf where never."""
        alive = torch.exp(-hazard)
        waiting = (alive - self.never_share) / (1 - self.never_share)
        gone = -torch.expm1(-hazard) / (1 - self.never_share)  # 1 - waiting, exact near 0
        odds = gone / waiting.clamp(min=torch.finfo(waiting.dtype).tiny)
        days = self.scale_days * odds.clamp(min=0.0) ** (1 / self.shape)
        return torch.where(waiting > 0, days, torch.full_like(days, torch.inf))

    def _log_odds(self, days: Tensor) -> Tensor:
        smallest = torch.finfo(days.dtype).tiny
        return self.shape * (torch.log(days.clamp(min=smallest)) - torch.log(self.scale_days))
