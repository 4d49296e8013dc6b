"""The recurrent core: an LSTM that runs over whole histories or takes one step."""

from __future__ import annotations

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
        from_input, from_state, input_bias, state_bias = self.lstm.all_weights[0]
        gates = functional.linear(x, from_input, input_bias)
        gates = gates + functional.linear(h, from_state, state_bias)
        let_in, forget, candidate, let_out = gates.chunk(4, dim=-1)
        c = torch.sigmoid(forget) * c + torch.sigmoid(let_in) * torch.tanh(candidate)
        return torch.sigmoid(let_out) * torch.tanh(c), c

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
