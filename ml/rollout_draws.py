"""Which item a row draws; when its orders come is in ``rhythm.draws``."""

import torch
from torch import Tensor

BLOCK = 64  # items whose weights are summed before one is searched for


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
