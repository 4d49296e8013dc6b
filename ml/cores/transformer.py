"""A causal transformer over the last events, with its keys and values as the state.

Every layer looks at the last ``context`` events, the present one included, and at a token made from
the profile, which never leaves. ``c`` is flat: the profile's token (H), how many events there were
(1), then per layer a ring of keys and values; the event that came n-th stands in place n modulo
``context``. All heads of a layer share their keys and values, which keeps ``c`` a quarter as long.

Source: Vaswani et al. 2017, arXiv:1706.03762, norms before the sums; shared keys and values:
Shazeer 2019, arXiv:1911.02150; the older, the less: Press et al. 2022, arXiv:2108.12409 (linear
biases instead of encoded positions, so that a key says nothing of when it will be looked at).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ml.cores.base import Core

LAYERS, HEADS = 2, 4
WIDER = 2  # the hidden layer between two attentions, times hidden


@dataclass(frozen=True, slots=True)
class Ages:
    """How many events ago each key was, from each query; what must not be seen is masked.

    Shapes: B customers, T queries, W places of the ring; keys are the profile, the ring, the T
    events themselves. ``age`` and ``seen`` are (B, T, 1 + W + T).
    """

    age: Tensor
    seen: Tensor

    @staticmethod
    def of(count: Tensor, events: int, context: int) -> Ages:
        """``count`` (B,) events came before the ``events`` that ask."""
        device, customers = count.device, count.shape[0]
        query = torch.arange(events, device=device).unsqueeze(-1)  # (T, 1)
        place = torch.arange(context, device=device)
        ago = torch.remainder(count.unsqueeze(-1) - 1 - place, context)  # (B, W), 0 is the newest
        stored = query + 1 + ago.unsqueeze(1)  # (B, T, W)
        filled = (ago < count.unsqueeze(-1)).unsqueeze(1)
        own = (query - torch.arange(events, device=device)).expand(customers, events, events)
        profile = torch.zeros((customers, events, 1), dtype=own.dtype, device=device)
        seen = [profile == 0, filled & (stored < context), own >= 0]
        return Ages(torch.cat([profile, stored, own], dim=-1), torch.cat(seen, dim=-1))


class Layer(nn.Module):
    """Attention, then two linear maps, each added to what came in. Shapes: D = H / heads."""

    slopes: Tensor

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.width = hidden // HEADS
        self.before = nn.LayerNorm(hidden)
        self.query = nn.Linear(hidden, hidden)
        self.key_value = nn.Linear(hidden, 2 * self.width)
        self.mixed = nn.Linear(hidden, hidden)
        self.after = nn.LayerNorm(hidden)
        self.widened = nn.Linear(hidden, WIDER * hidden)
        self.narrowed = nn.Linear(WIDER * hidden, hidden)
        slopes = 2.0 ** (-8.0 * torch.arange(1, HEADS + 1) / HEADS)
        self.register_buffer("slopes", slopes, persistent=False)

    def forward(
        self, x: Tensor, profile: Tensor, ring: Tensor, ages: Ages
    ) -> tuple[Tensor, Tensor]:
        """Return the next ``x`` (B, T, H), and the keys and values of these events (B, T, 2D).

        ``profile`` is (B, 1, H), ``ring`` (B, W, 2D). Keys and values are rounded before they are
        used, so that an event that is looked at now looks as it will from the ring.
        """
        normed = self.before(x)
        made = self.key_value(normed).float()
        first = self.key_value(self.before(profile)).float()
        known = torch.cat([first, ring, made], dim=1).to(x.dtype)
        x = x + self.mixed(self._attended(self.query(normed), known, ages))
        wide = nn.functional.silu(self.widened(self.after(x)))
        return x + self.narrowed(wide), made

    def _attended(self, query: Tensor, known: Tensor, ages: Ages) -> Tensor:
        customers, events, hidden = query.shape
        keys, values = known.chunk(2, dim=-1)
        asked = query.reshape(customers, events * HEADS, self.width)
        scores = (asked @ keys.transpose(1, 2)).reshape(customers, events, HEADS, -1)
        age = ages.age.unsqueeze(2).to(scores.dtype)
        scores = scores / self.width**0.5 - self.slopes.to(scores.dtype).unsqueeze(-1) * age
        scores = scores.masked_fill(~ages.seen.unsqueeze(2), float("-inf"))
        shares = torch.softmax(scores, dim=-1).to(values.dtype)
        found: Tensor = shares.reshape(customers, events * HEADS, -1) @ values
        return found.reshape(customers, events, hidden)


class Stack(nn.Module):
    """All layers over at most ``context`` new events per customer."""

    def __init__(self, encoding: int, hidden: int, context: int) -> None:
        super().__init__()
        self.hidden, self.context, self.width = hidden, context, hidden // HEADS
        self.entered = nn.Linear(encoding, hidden)
        self.layers = nn.ModuleList(Layer(hidden) for _ in range(LAYERS))
        self.last = nn.LayerNorm(hidden)

    @property
    def carried(self) -> int:
        """The length of ``c``."""
        return self.hidden + 1 + LAYERS * self.context * 2 * self.width

    def forward(self, x: Tensor, lengths: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states (B, T, H) and ``c`` (B, S) after the first ``lengths`` (B,) events.

        ``x`` is (B, T, E), T at most ``context``; what stands behind a customer's last event comes
        out as numbers without a meaning and is not kept.
        """
        customers, events, _ = x.shape
        profile, rings = c[:, : self.hidden], c[:, self.hidden + 1 :]
        count = c[:, self.hidden].long()
        ages = Ages.of(count, events, self.context)
        number = torch.arange(events, device=x.device)
        place = torch.remainder(count.unsqueeze(-1) + number, self.context)
        kept = (number < lengths.unsqueeze(-1)).unsqueeze(-1)  # (B, T, 1)
        place = place.unsqueeze(-1).expand(customers, events, 2 * self.width)
        x = self.entered(x)
        first, after = profile.unsqueeze(1).to(x.dtype), []
        for layer, ring in zip(self.layers, self._rings(rings), strict=True):
            x, made = layer(x, first, ring, ages)
            made = torch.where(kept, made, ring.gather(1, place))
            after.append(ring.scatter(1, place, made).flatten(1))
        carried = torch.cat([profile, self._counted(count + lengths), *after], dim=-1)
        return self.last(x), carried

    def _rings(self, flat: Tensor) -> Iterator[Tensor]:
        for part in flat.chunk(LAYERS, dim=-1):
            yield part.reshape(-1, self.context, 2 * self.width)

    def _counted(self, count: Tensor) -> Tensor:
        """Only whether the ring is full and its next place matter: a float counts no billions."""
        count = torch.where(count >= 2 * self.context, count - self.context, count)
        return count.unsqueeze(-1).float()


class Built(Core):
    """``h`` is what the last layer says at the last event; only ``c`` is carried on."""

    def __init__(self, encoding: int, hidden: int, context: int) -> None:
        super().__init__(encoding, hidden, context)
        if hidden % HEADS or context < 1:
            raise ValueError(
                f"hidden is {hidden} and context {context}, expected a multiple of {HEADS} and at "
                "least 1: change the configuration"
            )
        self.stack = Stack(encoding, hidden, context)

    @property
    def carried(self) -> int:
        return self.stack.carried

    def begin(self, profile: Tensor) -> Tensor:
        return nn.functional.pad(profile, (0, self.carried - self.hidden))

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        states, c = self.stack(x.unsqueeze(1), torch.ones_like(c[:, 0], dtype=torch.int64), c)
        return states.squeeze(1), c

    def run(
        self, flat: Tensor, steps: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        states = []
        for block in _blocks(steps, self.context):
            x = block.padded(flat)
            done, c_next = self.stack(x, block.lengths.to(c.device), c[: len(x)])
            states.append(block.flattened(done))
            h = torch.cat([block.last(done).to(h.dtype), h[len(x) :]])
            c = torch.cat([c_next, c[len(x) :]])
        return torch.cat(states), h, c

    def fold(self, flat: Tensor, steps: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        h, c = h.float().clone(), c.float().clone()
        weights = self._doubled()
        for block in _blocks(steps, self.context):
            x = block.padded(flat.double())
            arguments = (x, block.lengths.to(c.device), c[: len(x)])
            done, c_next = functional_call(self.stack, weights, arguments)
            h[: len(x)], c[: len(x)] = block.last(done).float(), c_next
        return h, c

    def step_in_double(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        one = torch.ones_like(c[:, 0], dtype=torch.int64)
        arguments = (x.double().unsqueeze(1), one, c)
        states, c = functional_call(self.stack, self._doubled(), arguments)
        return states.squeeze(1).float(), c

    def _doubled(self) -> dict[str, Tensor]:
        return {name: weight.double() for name, weight in self.stack.named_parameters()}


@dataclass(frozen=True, slots=True)
class _Block:
    """Some time steps of a packing: rows ``start`` to ``stop`` of it, ``steps`` customers each."""

    start: int
    stop: int
    steps: Tensor

    @property
    def lengths(self) -> Tensor:
        """How many of these events each customer has (B,)."""
        return (self.steps.unsqueeze(0) > torch.arange(int(self.steps[0])).unsqueeze(1)).sum(dim=1)

    def padded(self, flat: Tensor) -> Tensor:
        """Return the events (B, T, E) of these steps, zeros behind a customer's last."""
        customer, step = self._places()
        x = flat.new_zeros((int(self.steps[0]), len(self.steps), flat.shape[1]))
        return x.index_put((customer, step), flat[self.start : self.stop])

    def flattened(self, padded: Tensor) -> Tensor:
        """Return what ``padded`` was made from, its order included."""
        return padded[self._places()]

    def last(self, padded: Tensor) -> Tensor:
        """Return the row of each customer's last event (B, H)."""
        customers = torch.arange(int(self.steps[0]))
        return padded[customers, self.lengths - 1]

    def _places(self) -> tuple[Tensor, Tensor]:
        step = torch.repeat_interleave(torch.arange(len(self.steps)), self.steps)
        first = torch.cumsum(self.steps, 0) - self.steps
        return torch.arange(self.stop - self.start) - first[step], step


def _blocks(steps: Tensor, longest: int) -> Iterator[_Block]:
    """Yield the time steps in blocks, of which a ring holds one."""
    start = 0
    for part in torch.split(steps, longest):
        stop = start + int(part.sum())
        yield _Block(start, stop, part)
        start = stop
