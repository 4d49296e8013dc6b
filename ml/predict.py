"""Forecasts of many twins at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ml.forecast import Forecast
from ml.states import TwinStates
from ml.timing import TimeToOrder

if TYPE_CHECKING:
    from ml.twin import TwinModel

TWINS_PER_BLOCK = 2_048

Ranked = tuple[tuple[str, float], ...]


def forecasts(model: TwinModel, states: TwinStates, top_items: int) -> list[Forecast]:
    """Return the forecast of every row of the states."""
    training = model.training
    model.eval()
    result: list[Forecast] = []
    with torch.inference_mode():
        for first in range(0, len(states), TWINS_PER_BLOCK):
            h = torch.from_numpy(states.h[first : first + TWINS_PER_BLOCK]).to(model.device)
            result += _block(model, h, min(top_items, model.vocabulary))
    model.train(training)
    return result


def _block(model: TwinModel, h: Tensor, top: int) -> list[Forecast]:
    output = model.output(h)
    opening, items = _likeliest(model, h, 0, top)
    continuing, _ = _likeliest(model, h, 1, top)
    times = torch.stack([output.scale_days, output.shape, output.never_share], dim=-1).tolist()
    same = torch.sigmoid(output.same_order_logit).tolist()
    totals = _line_totals(model, h, items)
    return [
        Forecast(
            top_items=opening[row],
            continuing_items=continuing[row],
            same_order=same[row],
            time_to_order=TimeToOrder(
                scale_days=times[row][0], shape=times[row][1], never_share=times[row][2]
            ),
            line_total_mu=totals[row][0],
            line_total_sigma=totals[row][1],
            line_total_expected=totals[row][2],
        )
        for row in range(len(h))
    ]


def _likeliest(
    model: TwinModel, h: Tensor, same_order: int, top: int
) -> tuple[list[Ranked], tuple[Tensor, Tensor]]:
    known = torch.full((len(h),), same_order, device=h.device)
    shares, rows = torch.softmax(model.item_logits(h, known), dim=-1).topk(top, dim=-1)
    named = [
        _named(model, row, share) for row, share in zip(rows.tolist(), shares.tolist(), strict=True)
    ]
    return named, (rows, shares)


def _named(model: TwinModel, rows: Sequence[int], shares: Sequence[float]) -> Ranked:
    items = model.dictionaries.items
    return tuple((items[row], share) for row, share in zip(rows, shares, strict=True))


def _line_totals(
    model: TwinModel, h: Tensor, items: tuple[Tensor, Tensor]
) -> list[tuple[float, float, float]]:
    rows, shares = items
    mu, sigma = model.line_total(h, rows)
    weights = shares / shares.sum(dim=-1, keepdim=True)
    mean = (weights * mu).sum(dim=-1)
    spread = (weights * (sigma**2 + (mu - mean.unsqueeze(-1)) ** 2)).sum(dim=-1).sqrt()
    expected = (weights * torch.exp(mu + sigma**2 / 2)).sum(dim=-1)
    return list(zip(mean.tolist(), spread.tolist(), expected.tolist(), strict=True))
