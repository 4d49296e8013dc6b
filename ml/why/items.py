"""Why an item is likely next: what each component of the mixture gives to its probability.

The mixture is a sum, so it comes apart without an approximation:

    p(item) = damping(item) * sum_k weight_k p_k(item) / whole

where ``damping`` is below 1 for the items of the open order and ``whole`` is what is left of all
items after it. What a component owes to its floor counts as popularity of all time, and what one
with nothing to say owes to its stand-in counts as that of the last 28 days: a component that knows
nothing of an item is given nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ml.events import Floats, Integers
from ml.mixture.components import FALLBACK, FLOOR, NAMES, POPULAR, Components, Views
from ml.mixture.fold import Moments
from ml.mixture.inputs import Told, gate_inputs
from ml.mixture.memory import Memory
from ml.mixture.network import NETWORK_NAMES
from ml.mixture.panel import VIEWS_PER_BLOCK
from ml.modes import predicting
from ml.predict import expected_order_ms
from ml.states import TwinStates

if TYPE_CHECKING:
    from ml.mixture.market import Snapshot
    from ml.mixture.model import Mixture
    from ml.twin import TwinModel

OPENING = NETWORK_NAMES[1]
LABELS = {
    "all_time": "a best seller of all time",
    "last_28_days": "a best seller of the last four weeks",
    "last_7_days": "a best seller of the last week",
    "own": "bought it before",
    "own_decayed": "bought it in the last orders",
    "transitions": "often follows what was bought last",
    "recent_transitions": "has lately followed what was bought last",
    "skips": "often stands a few lines after the last ones",
    "neighbours": "often shares an order with the last lines",
    "own_transitions": "followed the same item in the customer's own past",
    "network_continuing": "the network, as if the order went on",
    "network_opening": "the network, as a new order begins",
}


@dataclass(frozen=True, slots=True)
class ItemReason:
    """One item as the first line of the next order, and what its probability is made of.

    ``parts`` are the names of the components with their shares of the probability, the largest
    first; they sum to 1, and components that give nothing are left out.
    """

    sku: str
    probability: float
    parts: tuple[tuple[str, float], ...]


def item_reasons(
    model: TwinModel, states: TwinStates, skus: Sequence[str], market: Snapshot | None = None
) -> list[list[ItemReason]]:
    """Return for each twin why these items are as likely as they are, items in the order given.

    The probabilities are those of ``model.forecast`` with the same market. Items that the model
    does not know are left out.
    """
    with predicting(model):
        if model.next_item is None:
            return _by_network(model, states, skus)
        return _by_mixture(model, model.next_item, states, skus, market or model.next_item.market)


def contributions(
    components: Components, weights: Floats, damping: Floats, views: Views, items: Integers
) -> Floats:
    """Return what each component gives to each item, after damping: (B, T, K).

    Sums over K are the probabilities of the mixture. Shapes: B memories, T ``items``, K components;
    ``weights`` (B, K) sum to 1, ``damping`` (B,).
    """
    counted, first = len(NAMES), len(POPULAR)
    mixed = weights.copy()
    mixed[:, :counted] *= 1 - FLOOR
    mixed[:, FALLBACK] += (mixed[:, first:counted] * ~components.filled).sum(axis=1)
    mixed[:, 0] += FLOOR * weights[:, :counted].sum(axis=1)
    popular = np.broadcast_to(components.popularity[:, items], (len(weights), first, len(items)))
    network = [share[:, items][:, None] for share in components.network]
    shares = np.concatenate([popular, components.parts[:, :, items], *network], axis=1)
    given = mixed[:, :, None] * shares.astype(np.float64)
    mass = components.mass(views.basket)
    whole = 1 - (1 - damping) * (weights * mass).sum(axis=1)
    inside = np.zeros((len(weights), components.popularity.shape[1]), np.bool_)
    inside[views.basket.rows, views.basket.columns] = True
    damped = np.where(inside[:, items], damping[:, None], 1.0) / whole[:, None]
    return np.asarray((given * damped[:, None]).transpose(0, 2, 1), dtype=np.float64)


def _by_mixture(
    model: TwinModel,
    mixture: Mixture,
    states: TwinStates,
    skus: Sequence[str],
    market: Snapshot,
) -> list[list[ItemReason]]:
    places = {sku: place for place, sku in enumerate(mixture.frame.vocabulary)}
    known = [sku for sku in skus if sku in places]
    items = np.array([places[sku] for sku in known], np.int64)
    result: list[list[ItemReason]] = []
    for start in range(0, len(states), VIEWS_PER_BLOCK):
        block = states.take(np.arange(start, min(start + VIEWS_PER_BLOCK, len(states))))
        given = _given(model, mixture, block, items, market)
        result += [
            [_reason(sku, mixture.names, row) for sku, row in zip(known, rows, strict=True)]
            for rows in given
        ]
    return result


def _given(
    model: TwinModel, mixture: Mixture, states: TwinStates, items: Integers, market: Snapshot
) -> Floats:
    memories = [Memory.from_bytes(memory) for memory in states.items]
    views, moments = Views.of(memories), Moments.of(memories)
    network = mixture.network.shares(states.h) if mixture.network else ()
    components = Components.of(views, market, network)
    told = Told(np.zeros(len(states), np.bool_), expected_order_ms(model.rhythm, states))
    mass = components.mass(views.basket)
    (inputs,) = gate_inputs(moments, market, len(mixture.frame.countries), mass, (told,))
    return contributions(components, *mixture.told_gate.weigh(inputs), views, items)


def _by_network(
    model: TwinModel, states: TwinStates, skus: Sequence[str]
) -> list[list[ItemReason]]:
    places = {sku: place for place, sku in enumerate(model.dictionaries.items)}
    known = [sku for sku in skus if sku in places]
    h = torch.from_numpy(states.h).to(model.device)
    opens = torch.zeros(len(h), device=h.device)
    shares = torch.softmax(model.item_logits(h, opens), dim=-1)
    found = shares[:, [places[sku] for sku in known]].tolist()
    return [
        [ItemReason(sku, p, ((OPENING, 1.0),)) for sku, p in zip(known, row, strict=True)]
        for row in found
    ]


def _reason(sku: str, names: Sequence[str], given: Floats) -> ItemReason:
    probability = float(given.sum())
    parts = zip(names, (given / probability).tolist(), strict=True)
    largest = sorted(parts, key=lambda part: -part[1])
    return ItemReason(sku, probability, tuple(part for part in largest if part[1] > 0))
