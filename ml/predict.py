"""Forecasts of many twins at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ml.basket.foretold import Basket, baskets
from ml.events import Integers
from ml.forecast import Forecast
from ml.mixture.inputs import Told
from ml.mixture.memory import Memory
from ml.modes import predicting
from ml.rhythm.law import Own
from ml.rhythm.model import Rhythm
from ml.rhythm.statistics import COLUMNS, Purchases
from ml.states import TwinStates
from ml.timing import CHURN_DAYS, DAY_MS, Buying, TimeToOrder

if TYPE_CHECKING:
    from ml.mixture.market import Snapshot
    from ml.mixture.model import Mixture
    from ml.twin import TwinModel

TWINS_PER_BLOCK = 512

Ranked = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class _Items:
    """The likeliest items of B twins, the likeliest first: their names, and their shares (B, K).

    ``rows`` (B, K) are theirs in the dictionaries of the network.
    """

    names: tuple[str, ...]
    places: Tensor  # in ``names``
    rows: Tensor
    shares: Tensor

    def ranked(self) -> list[Ranked]:
        pairs = zip(self.places.tolist(), self.shares.tolist(), strict=True)
        return [
            tuple((self.names[place], share) for place, share in zip(*pair, strict=True))
            for pair in pairs
        ]


def forecasts(
    model: TwinModel, states: TwinStates, top_items: int, market: Snapshot | None = None
) -> list[Forecast]:
    """Return the forecast of every row of the states."""
    result: list[Forecast] = []
    with predicting(model):
        for first in range(0, len(states), TWINS_PER_BLOCK):
            rows = slice(first, first + TWINS_PER_BLOCK)
            result += _block(model, states.rows(rows), top_items, market)
    return result


def _block(
    model: TwinModel, states: TwinStates, top: int, market: Snapshot | None
) -> list[Forecast]:
    h = torch.from_numpy(states.h).to(model.device)
    output = model.output(h)
    own = _own(model.rhythm, states)
    times, buying = rhythms(model.rhythm, states, own)
    if model.next_item is None:
        opening = _by_network(model, h, top)
        next_baskets: list[Basket] = [()] * len(states)
    else:
        market = market or model.next_item.market
        memories = [Memory.from_bytes(memory) for memory in states.items]
        order_ms = expected_order_ms(model.rhythm, states, own)
        opening = _by_mixture(model, model.next_item, states, memories, order_ms, top, market)
        next_baskets = _baskets(model, model.next_item, memories, order_ms, market)
    same = torch.sigmoid(output.same_order_logit).tolist()
    totals = _line_totals(model, h, (opening.rows, opening.shares))
    return [
        Forecast(
            top_items=items,
            same_order=same[row],
            time_to_order=times[row],
            buying=buying[row],
            line_total_mu=totals[row][0],
            line_total_sigma=totals[row][1],
            line_total_expected=totals[row][2],
            market_day=market.day if market and model.next_item else None,
            next_basket=next_baskets[row],
        )
        for row, items in enumerate(opening.ranked())
    ]


def rhythms(
    rhythm: Rhythm, states: TwinStates, own: Own | None = None
) -> tuple[list[TimeToOrder], list[Buying]]:
    """Return when each twin's next order comes, and what it is expected to buy.

    ``own`` are the twins' own numbers, for a caller who has them.
    """
    own = own or _own(rhythm, states)
    columns = zip(*(column.tolist() for column in own), strict=True)
    times = [
        TimeToOrder(
            law=rhythm.law, shape=shape, scale=scale, level=level if bought else 0.0,
            last_day=last_day if bought or clock_ms else None, last_day_share=share,
            gap_days=int(gap), gap_before_days=int(before), bought=bool(bought),
        )
        for (shape, scale, level, last_day, share, gap, before, bought), clock_ms in zip(
            columns, states.clock_ms.tolist(), strict=True
        )
    ]  # fmt: skip
    counted = zip(*(getattr(states, name).tolist() for name in COLUMNS), strict=True)
    buying = [
        Buying(counts=rhythm.counts, purchases=dict(zip(COLUMNS, row, strict=True)))
        for row in counted
    ]
    return times, buying


def _by_network(model: TwinModel, h: Tensor, top: int) -> _Items:
    """Return the likeliest items for the line that opens the next order."""
    opens = torch.zeros(len(h), device=h.device)
    scores = torch.softmax(model.item_logits(h, opens), dim=-1)
    shares, rows = scores.topk(min(top, model.vocabulary), dim=-1)
    return _Items(model.dictionaries.items, rows, rows, shares)


def _by_mixture(
    model: TwinModel,
    mixture: Mixture,
    states: TwinStates,
    memories: Sequence[Memory],
    order_ms: Integers,
    top: int,
    market: Snapshot,
) -> _Items:
    """Return the same by all components."""
    opens = Told(np.zeros(len(states), np.bool_), order_ms)
    h = states.h if mixture.network else None
    share = torch.from_numpy(mixture.distribution(memories, market, told=opens, h=h)).to(
        model.device
    )
    shares, places = share.topk(min(top, share.shape[1]))
    rows = model.next_item_rows.to(model.device)[places]
    return _Items(mixture.frame.vocabulary, places, rows, shares)


def _baskets(
    model: TwinModel,
    mixture: Mixture,
    memories: Sequence[Memory],
    order_ms: Integers,
    market: Snapshot,
) -> list[Basket]:
    if model.next_basket is None:
        return [()] * len(memories)
    days = (order_ms // DAY_MS).tolist()
    return baskets(model.next_basket, memories, market, days, mixture.frame.vocabulary)


def expected_order_ms(rhythm: Rhythm, states: TwinStates, own: Own | None = None) -> Integers:
    """Return when the next order is about to come: its median, three months at most."""
    return rhythm.median_ms(own or _own(rhythm, states), states.clock_ms, CHURN_DAYS)


def _own(rhythm: Rhythm, states: TwinStates) -> Own:
    return rhythm.own(Purchases.of(states), states.clock_ms, states.last_order_ms)


def _line_totals(
    model: TwinModel, h: Tensor, items: tuple[Tensor, Tensor]
) -> list[tuple[float, float, float]]:
    rows, shares = items
    mu, sigma, share = (part.cpu().numpy() for part in (*model.line_total(h, rows), shares))
    weights, variance = share / share.sum(axis=1, keepdims=True), sigma**2
    mean = (weights * mu).sum(axis=1)
    spread = np.sqrt((weights * (variance + (mu - mean[:, None]) ** 2)).sum(axis=1))
    expected = (weights * np.exp(mu + variance / 2)).sum(axis=1)
    return list(zip(mean.tolist(), spread.tolist(), expected.tolist(), strict=True))
