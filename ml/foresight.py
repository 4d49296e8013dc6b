"""How well each purchase line was foreseen, the moment before it came (prequential scores).

Source: Dawid 1984, prequential analysis: forecasters are judged by what they said before outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml.encoding import encode
from ml.errors import MlError
from ml.events import EventTable, Floats, Integers
from ml.fold import fold_states
from ml.mixture.components import FALLBACK
from ml.mixture.fold import MOMENT, fold_and_look
from ml.mixture.inputs import Singles
from ml.mixture.lines import UNKNOWN, same_as_before
from ml.mixture.memory import Memory
from ml.states import TwinStates

if TYPE_CHECKING:
    from ml.mixture.market import Snapshot
    from ml.twin import TwinModel


class NoMixture(MlError):
    """Only a mixture says beforehand what comes, with a share for every item."""

    code = "no-mixture"
    template = "the model has no mixture of the next item: train another version"


@dataclass(frozen=True, slots=True)
class Foresight:
    """N lines. ``nll`` is in nats, NaN where the item has no row, which is a miss as well.

    ``popularity_nll`` is that of the best sellers of the last 28 days. ``opens`` says that a line
    opened an order, ``orders`` how many its customer had before.

    Shapes: all (N,).
    """

    rank: Integers
    nll: Floats
    popularity_nll: Floats
    opens: NDArray[np.bool_]
    orders: Integers

    def __len__(self) -> int:
        return len(self.rank)


def foresee(
    model: TwinModel, states: TwinStates, events: EventTable, market: Snapshot
) -> Foresight:
    """Return how the twins foresaw each purchase among ``events``; row b is customer b.

    Lines of customers who have no earlier line are left out: there was nothing to foresee them
    from. The states are not changed.

    Raises:
        NoMixture: the model has no mixture to foresee with.
        EventBeforeClock: an event is older than its twin's clock.
    """
    mixture = model.next_item
    if mixture is None:
        raise NoMixture()
    lines = mixture.frame.lines(events)
    memories = {b: Memory.from_bytes(states.items[b]) for b in np.unique(lines.customer).tolist()}
    begun = np.array([memories[b].lines > 0 for b in lines.customer.tolist()], np.bool_)
    asked = begun | same_as_before(lines.customer)
    before = fold_and_look(memories, lines, mixture.frame.config.limits, asked)
    h = _states_before(model, states, events)[lines.row[asked]] if mixture.network else None
    scores = mixture.score_looks(before, lines.item[asked], market, h)
    item = lines.item[asked]
    popular = -np.log(market.popularity[FALLBACK][np.maximum(item, 0)])
    return Foresight(
        rank=scores.rank,
        nll=scores.nll,
        popularity_nll=np.where(item == UNKNOWN, np.nan, popular),
        opens=~before.continues,
        orders=before.moments.numbers[:, MOMENT.index("orders")].astype(np.int64),
    )


def _states_before(model: TwinModel, states: TwinStates, events: EventTable) -> Singles:
    """Return the state (N, H) before each event."""
    opening = ~same_as_before(events.customer)
    if opening.all():
        return states.h[events.customer]
    columns = encode(events, states, model.dictionaries)
    after = fold_states(model, columns, events.customer, states.h, states.c).numpy()
    before = np.roll(after, 1, axis=0)
    before[opening] = states.h[events.customer[opening]]
    return before
