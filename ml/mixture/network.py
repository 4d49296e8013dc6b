"""The recurrent network as two more components: its line that goes on, and its line that opens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ml.encoding import encode, look_up
from ml.errors import MlError
from ml.events import EventTable, Integers
from ml.fold import fold_states
from ml.mixture.inputs import Singles
from ml.twin import TwinModel

NETWORK_NAMES = ("network_continuing", "network_opening")
FLOOR = 0.001  # spread evenly, so that items which the network does not know are not ruled out


class NetworkStateMissing(MlError):
    """A mixture with a network needs the network's states, one without has no use for them."""

    code = "network-state-missing"
    template = "the mixture {has} a network, but states were {given}: give h where there is one"


class NetworkComponents:
    """What a twin model gives to the items of a vocabulary that need not be its own.

    Shapes: B states, V items of the vocabulary, H hidden.
    """

    def __init__(self, model: TwinModel, vocabulary: Sequence[str]) -> None:
        self.model = model.eval()
        rows = look_up(model.dictionaries.item_index(), vocabulary)
        known = np.flatnonzero(rows < model.vocabulary)
        self.known, self.rows = _as_slice(known), _as_slice(rows[known])
        self.items = len(vocabulary)

    def shares(self, h: Singles) -> tuple[Singles, ...]:
        """Return both distributions (B, V) after states ``h`` (B, H)."""
        with torch.inference_mode():
            state = torch.from_numpy(np.ascontiguousarray(h)).to(self.model.device)
            logits = self.model.item_logits_of_both(state)[:, :, self.rows]
            both: Singles = torch.softmax(logits, dim=-1).cpu().numpy()
        result = np.full((2, len(h), self.items), FLOOR / self.items, dtype=np.float32)
        result[:, :, self.known] += (1 - FLOOR) * both
        return tuple(result)

    def states_before(self, events: EventTable, countries: Sequence[str]) -> Singles:
        """Return the state (N, H) before each event of whole histories."""
        start = self.model.initial_state(countries)
        columns = encode(events, start, self.model.dictionaries)
        after = fold_states(self.model, columns, events.customer, start.h, start.c).numpy()
        before = np.roll(after, 1, axis=0)
        opening = np.ones(len(events), dtype=np.bool_)
        opening[1:] = events.customer[1:] != events.customer[:-1]
        before[opening] = start.h[events.customer[opening]]
        return before


def _as_slice(index: Integers) -> Integers | slice:
    """Return an index that counts up from somewhere as a slice, which copies nothing."""
    if len(index) and (np.diff(index) == 1).all():
        return slice(int(index[0]), int(index[-1]) + 1)
    return index
