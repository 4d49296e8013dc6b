"""The network of the thesis that DToC began with."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ThesisNetwork(nn.Module):
    """An LSTM over item, event type, log gap and log total that begins with user and country.

    Source: the thesis; every purchase has the same event type there, and so it has here.
    Shapes: B customers, T lines, V items.
    """

    def __init__(
        self, *, items: int, users: int, countries: int, outputs: int | None = None
    ) -> None:
        super().__init__()
        self.item = nn.Embedding(items, 32)
        self.user = nn.Embedding(users, 32)
        self.country = nn.Embedding(countries, 8)
        self.kind = nn.Embedding(1, 4)
        self.start_h = nn.Linear(40, 64)
        self.start_c = nn.Linear(40, 64)
        self.lstm = nn.LSTM(32 + 4 + 2, 64, batch_first=True)
        self.out = nn.Linear(64, items if outputs is None else outputs)

    def forward(self, item: Tensor, numbers: Tensor, user: Tensor, country: Tensor) -> Tensor:
        """Return logits (B, T, V) of the line after each of ``item`` (B, T).

        ``numbers`` (B, T, 2) are log1p of the days since the line before and of the line's total.
        """
        profile = torch.cat([self.user(user), self.country(country)], dim=-1)
        kind = self.kind(torch.zeros_like(item))
        x = torch.cat([self.item(item), kind, numbers], dim=-1)
        start = torch.tanh(self.start_h(profile)), torch.tanh(self.start_c(profile))
        h, _ = self.lstm(x, (start[0].unsqueeze(0), start[1].unsqueeze(0)))
        logits: Tensor = self.out(h)
        return logits
