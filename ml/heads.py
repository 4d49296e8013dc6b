"""What a state says about the next purchase line."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

LOG_SIGMA_BOUNDS = (-2.0, 1.5)  # a narrower one is paid for dearly by the first surprise


@dataclass(frozen=True, slots=True)
class HeadOutput:
    """The heads that need no item.

    ``same_order_logit`` (B,) is that the next purchase line belongs to the present order.
    """

    same_order_logit: Tensor


class Heads(nn.Module):
    """Same order, query for the next item, line total."""

    def __init__(self, hidden: int, item_dim: int, target_dim: int) -> None:
        super().__init__()
        self.same_order = nn.Linear(hidden, 1)
        self.next_in_order = nn.Linear(hidden, item_dim + target_dim)
        self.first_of_order = nn.Linear(hidden, item_dim + target_dim)
        self.total = nn.Sequential(
            nn.Linear(hidden + item_dim + 1, 64), nn.Tanh(), nn.Linear(64, 2)
        )

    def forward(self, h: Tensor) -> HeadOutput:
        """Return the same-order logit for states ``h`` (B, H)."""
        return HeadOutput(self.same_order(h).squeeze(-1))

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
