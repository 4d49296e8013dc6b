"""From windows of histories to losses, with the state carried from one window to the next."""

from __future__ import annotations

import torch
from torch import Tensor

from ml.fold import as_tensors, pack
from ml.lanes import LaneBatch
from ml.losses import HeadLosses, head_losses
from ml.split import Material
from ml.twin import TwinModel


class LaneReader:
    """The states of the lanes between windows, and the losses of a window."""

    def __init__(
        self,
        model: TwinModel,
        material: Material,
        country: Tensor,
        *,
        lanes: int,
        item_dropout: float,
    ) -> None:
        self.model, self.material, self.country = model, material, country
        self.item_dropout = item_dropout
        self.columns = as_tensors(material.columns, model.device)
        self.targets = material.targets.to(model.device)
        self.h = torch.zeros(lanes, model.config.hidden, device=model.device)
        self.c = torch.zeros(lanes, model.core.carried, device=model.device)

    def losses(self, batch: LaneBatch) -> HeadLosses:
        """Return the losses of one batch and keep the lanes' states for the next."""
        model, packing = self.model, pack(batch.starts, batch.lengths)
        lane = torch.from_numpy(batch.lane[packing.order])
        fresh = torch.from_numpy(batch.fresh[packing.order])
        customer = torch.from_numpy(self.material.who[batch.history[packing.order]])
        start_h, start_c = model.start(self.country[customer])
        begins = fresh.unsqueeze(-1).to(model.device)
        h = torch.where(begins, start_h, self.h[lane])
        c = torch.where(begins, start_c, self.c[lane])
        rows = torch.from_numpy(packing.rows)
        states, last_h, last_c = model.core.run(self._encoded(rows), packing.steps, h, c)
        self.h[lane], self.c[lane] = last_h.detach().float(), last_c.detach().float()
        seen = torch.cat([states, start_h[fresh]])
        taught = torch.cat([rows, len(self.material.events) + customer[fresh]])
        return head_losses(
            model, model.dropout(seen), self.targets.rows(taught), self.material.known
        )

    def _encoded(self, rows: Tensor) -> Tensor:
        """Return the encoded rows, some items disguised as unknown ones so that buckets learn."""
        step = {name: column[rows] for name, column in self.columns.items()}
        dictionaries = self.model.dictionaries
        known = len(dictionaries.items)
        disguised = torch.rand(len(rows)) < self.item_dropout
        bucket = known + torch.randint(dictionaries.buckets, (len(rows),))
        hidden = disguised.to(self.model.device) & (step["item"] < known)
        step["item"] = torch.where(hidden, bucket.to(self.model.device), step["item"])
        return self.model.encode_step(**step)
