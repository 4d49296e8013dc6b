"""The recurrent core: an LSTM that runs over whole histories or takes one step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence


class TwinCore(nn.Module):
    """Fold encoded events into the hidden states of many twins at once.

    Shapes: B customers, E encoding, H hidden.
    """

    def __init__(self, encoding: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(encoding, hidden)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``h`` and ``c`` (B, H) after one event ``x`` (B, E) each."""
        from_input, from_state, input_bias, state_bias = self.weights
        gates = functional.linear(x, from_input, input_bias)
        gates = gates + functional.linear(h, from_state, state_bias)
        return _gated(gates, c)

    def run(
        self, flat: Tensor, steps: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return every state and the last ``h`` and ``c`` of sequences without padding.

        ``flat`` (N, E) holds the first events of all customers, then the second ones, and so on;
        ``steps`` (T,) on the CPU says how many customers have a t-th event, so customers come
        longest first and each has at least one. The states (N, H) are in the order of ``flat``.
        """
        packed = PackedSequence(flat, steps)
        states, (h, c) = self.lstm(packed, (h.unsqueeze(0), c.unsqueeze(0)))
        return states.data, h.squeeze(0), c.squeeze(0)

    def fold(self, flat: Tensor, steps: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last ``h`` and ``c`` as ``run`` does, whatever batch a customer was in.

        Sums in single precision depend on the shape of the batch; over thousands of events such
        differences grew to 2e-5. So each step computes in double precision and keeps its state in
        single precision: what batches change is then far below what the rounding keeps.
        """
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
