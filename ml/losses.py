"""How wrong the heads were, by head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from ml.targets import Targets

if TYPE_CHECKING:
    from ml.twin import TwinModel

HEADS = ("next_item", "same_order", "line_total")
HALF_LOG_TWO_PI = 0.9189385332046727


@dataclass(frozen=True, slots=True)
class HeadLosses:
    """Summed negative log-likelihoods (nats) and counts, in the order of ``HEADS``."""

    sums: Tensor
    counts: Tensor

    def weighted(self, weights: Tensor, rows: int) -> Tensor:
        """Return the loss per row under weights by head."""
        return (self.sums * weights).sum() / rows

    def means(self) -> dict[str, float]:
        """Return the mean by head."""
        values = (self.sums / self.counts.clamp(min=1)).tolist()
        return dict(zip(HEADS, values, strict=True))


def head_losses(model: TwinModel, h: Tensor, targets: Targets, known: int) -> HeadLosses:
    """Return the losses of states ``h`` (N, H); the item is scored given the kind of line."""
    output = model.output(h)
    parts = (
        _item_loss(model, h, targets, known),
        functional.binary_cross_entropy_with_logits(
            output.same_order_logit, targets.same_order, reduction="none"
        )[targets.has_same_order],
        _total_loss(model, h, targets),
    )
    counts = torch.tensor([float(len(part)) for part in parts], device=h.device)
    return HeadLosses(torch.stack([part.sum() for part in parts]), counts)


def _item_loss(model: TwinModel, h: Tensor, targets: Targets, known: int) -> Tensor:
    chosen = targets.has_item
    scores = model.item_logits(h[chosen], targets.same_order[chosen], known)
    return functional.cross_entropy(scores, targets.item[chosen], reduction="none")


def _total_loss(model: TwinModel, h: Tensor, targets: Targets) -> Tensor:
    chosen = targets.has_total
    mu, sigma = model.line_total(h[chosen], targets.item[chosen])
    z = (targets.log_total[chosen] - mu) / sigma
    return z**2 / 2 + torch.log(sigma) + HALF_LOG_TWO_PI
