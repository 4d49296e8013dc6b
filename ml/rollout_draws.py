"""The draws of a rollout in closed form: when the next order comes, and which item it is."""

import torch
from torch import Tensor

from ml.survival import TimeTensors

BLOCK = 64  # items whose weights are summed before one is searched for


def days_to_order(
    time: TimeTensors,
    u: Tensor,
    elapsed_days: Tensor,
    window_days: tuple[Tensor, Tensor],
    multiplier: Tensor,
) -> Tensor:
    """Return the day of the next order, counted from the last event; inf where it never comes.

    Nothing has happened for ``elapsed_days`` already, so the result is at least that. Between the
    two ``window_days`` the hazard is multiplied. The order comes when the cumulative hazard has
    grown by -log u; what the multiplier adds inside the window is subtracted from that target. The
    difference is exactly 0 where the multiplier is 1, so such a row equals its control.

    Shapes: all (B,) float64.
    """
    opens, closes = (torch.maximum(day, elapsed_days) for day in window_days)
    used = time.cumulative_hazard(elapsed_days)
    budget = -torch.log(u)
    at_opening = time.cumulative_hazard(opens)
    inside = time.cumulative_hazard(closes) - at_opening
    left = (budget - (at_opening - used)).clamp(min=0.0)  # on arrival at the window
    spent = left <= multiplier * inside
    saved = torch.where(spent, left * (1 - 1 / multiplier), inside * (multiplier - 1))
    days = time.inverse_cumulative_hazard(used + budget - saved)
    return torch.maximum(days, elapsed_days)


def draw_items(logits: Tensor, u: Tensor) -> Tensor:
    """Return the item (B,) at which the cumulative softmax of ``logits`` (B, V) reaches ``u``.

    Sums of blocks of items are searched first and then one block, which spares the cumulative sum
    over the whole catalogue.
    """
    weights = torch.softmax(logits, dim=-1)
    items = weights.shape[1]
    whole = items // BLOCK
    sums = torch.unflatten(weights[:, : whole * BLOCK], 1, (whole, BLOCK)).sum(-1)
    sums = torch.cat([sums, weights[:, whole * BLOCK :].sum(-1, keepdim=True)], dim=1).double()
    ends = sums.cumsum(1)
    target = u.unsqueeze(1) * ends[:, -1:]
    block = (ends < target).sum(1, keepdim=True).clamp(max=whole)
    target = target - (ends - sums).gather(1, block)
    index = block * BLOCK + torch.arange(BLOCK, device=logits.device)
    inside = weights.gather(1, index.clamp(max=items - 1)).double()
    inside = torch.where(index < items, inside, 0.0)
    place = (inside.cumsum(1) < target).sum(1).clamp(max=BLOCK - 1)
    return (block.squeeze(1) * BLOCK + place).clamp(max=items - 1)
