"""The default core: an LSTM. ``c`` is its cell.

Source: Hochreiter and Schmidhuber 1997, Neural Computation 9(8); gates as torch arranges them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from ml.cores.base import Core


class Built(Core):
    """One layer; a state is twice ``hidden`` numbers, however long the history."""

    def __init__(self, encoding: int, hidden: int, context: int) -> None:
        super().__init__(encoding, hidden, context)
        self.lstm = nn.LSTM(encoding, hidden)

    @property
    def carried(self) -> int:
        return self.hidden

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        from_input, from_state, input_bias, state_bias = self.weights
        gates = functional.linear(x, from_input, input_bias)
        gates = gates + functional.linear(h, from_state, state_bias)
        return _gated(gates, c)

    def run(
        self, flat: Tensor, steps: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        packed = PackedSequence(flat, steps)
        states, (h, c) = self.lstm(packed, (h.unsqueeze(0), c.unsqueeze(0)))
        return states.data, h.squeeze(0), c.squeeze(0)

    def fold(self, flat: Tensor, steps: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        from_input, from_state, input_bias, state_bias = (w.double() for w in self.weights)
        gates_of_input = functional.linear(flat.double(), from_input, input_bias + state_bias)
        h, c = h.float().clone(), c.float().clone()
        start = 0
        for count in steps.tolist():
            gates = gates_of_input[start : start + count]
            gates = gates + functional.linear(h[:count].double(), from_state)
            h_next, c_next = _gated(gates, c[:count].double())
            h[:count], c[:count] = h_next.float(), c_next.float()
            start += count
        return h, c

    def step_in_double(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        from_input, from_state, input_bias, state_bias = (w.double() for w in self.weights)
        gates = functional.linear(x.double(), from_input, input_bias + state_bias)
        gates = gates + functional.linear(h.double(), from_state)
        h, c = _gated(gates, c.double())
        return h.float(), c.float()

    @property
    def weights(self) -> Sequence[Tensor]:
        """Input and state weights (4H, E) and (4H, H), input and state bias (4H,)."""
        found: Sequence[Tensor] = self.lstm.all_weights[0]
        return found


def _gated(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Return the next ``h`` and ``c`` from the sums before the gates (B, 4H)."""
    let_in, forget, candidate, let_out = gates.chunk(4, dim=-1)
    c = torch.sigmoid(forget) * c + torch.sigmoid(let_in) * torch.tanh(candidate)
    return torch.sigmoid(let_out) * torch.tanh(c), c
