"""What a state says about the next purchase line."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.survival import TimeTensors

LEAST_NEVER, MOST_NEVER = 1e-4, 0.999
LEAST_SHAPE, MOST_SHAPE = 0.2, 8.0
LOG_SCALE_BOUND = 9.0  # e^9 days are 22 years
LOG_SIGMA_BOUNDS = (-2.0, 1.5)  # a narrower one is paid for dearly by the first surprise
TYPICAL_DAYS = 45.0


@dataclass(frozen=True, slots=True)
class HeadOutput:
    """The heads that need no item.

    Shapes: all (B,). ``same_order_logit`` is that the next purchase line belongs to the present
    order; ``time`` is for the start of the next order, given that it does not.
    """

    same_order_logit: Tensor
    time: TimeTensors

    @property
    def scale_days(self) -> Tensor:
        """The scale of the time to the next order."""
        return self.time.scale_days

    @property
    def shape(self) -> Tensor:
        """The shape of the time to the next order."""
        return self.time.shape

    @property
    def never_share(self) -> Tensor:
        """The probability that no further order ever comes."""
        return self.time.never_share


class Heads(nn.Module):
    """Same order, time to the next order, query for the next item, line total."""

    def __init__(self, hidden: int, item_dim: int, target_dim: int) -> None:
        super().__init__()
        self.same_order = nn.Linear(hidden, 1)
        self.time = nn.Sequential(nn.Linear(hidden, 32), nn.Tanh(), nn.Linear(32, 3))
        self.next_in_order = nn.Linear(hidden, item_dim + target_dim)
        self.first_of_order = nn.Linear(hidden, item_dim + target_dim)
        self.total = nn.Sequential(
            nn.Linear(hidden + item_dim + 1, 64), nn.Tanh(), nn.Linear(64, 2)
        )

    def forward(self, h: Tensor) -> HeadOutput:
        """Return same-order logit and time parameters for states ``h`` (B, H)."""
        raw = self.time(h)
        log_scale = raw[..., 0].clamp(-LOG_SCALE_BOUND, LOG_SCALE_BOUND)
        time = TimeTensors(
            scale_days=TYPICAL_DAYS * torch.exp(log_scale),
            shape=LEAST_SHAPE + (MOST_SHAPE - LEAST_SHAPE) * torch.sigmoid(raw[..., 1] - 2.0),
            never_share=LEAST_NEVER + (MOST_NEVER - LEAST_NEVER) * torch.sigmoid(raw[..., 2] - 2.0),
        )
        return HeadOutput(self.same_order(h).squeeze(-1), time)

    def query(self, h: Tensor, same_order: Tensor) -> Tensor:
        """Return the item query (B, D); the two kinds of lines have one each."""
        continuing = same_order.bool().unsqueeze(-1)
        return torch.where(continuing, self.next_in_order(h), self.first_of_order(h))

    def line_total(self, h: Tensor, item: Tensor, log_price: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation (...,) of the log total for item vectors (..., D)."""
        given = torch.cat([h, item, log_price.unsqueeze(-1)], dim=-1)
        raw = self.total(given)
        sigma = torch.exp(raw[..., 1].clamp(*LOG_SIGMA_BOUNDS))
        return log_price + raw[..., 0], sigma


def mixed_items(same_order_logit: Tensor, continuing: Tensor, opening: Tensor) -> Tensor:
    """Return log-probabilities (B, V) of the next item when the kind of line is not known."""
    same = functional.logsigmoid(same_order_logit).unsqueeze(-1)
    other = functional.logsigmoid(-same_order_logit).unsqueeze(-1)
    return torch.logaddexp(
        same + functional.log_softmax(continuing, dim=-1),
        other + functional.log_softmax(opening, dim=-1),
    )
