"""The twin model: encoding, recurrent core and heads behind one interface.

``initial_state``, ``advance`` and ``forecast`` work on whole tables; a rollout steps by hand with
``encode_step``, ``core``, ``heads``, ``item_logits`` and ``line_total``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.cores import built_core
from ml.encoding import Dictionaries, Orders, encode, look_up, remember
from ml.events import EventKind, EventTable
from ml.fold import fold
from ml.forecast import Forecast
from ml.heads import HeadOutput, Heads, mixed_items
from ml.predict import forecasts
from ml.rhythm.model import Rhythm
from ml.states import TwinStates, as_objects
from ml.timing import DAY_MS

if TYPE_CHECKING:
    from ml.basket.model import BasketModel
    from ml.mixture.market import Snapshot
    from ml.mixture.model import Mixture

NUMBERS = 13
WEEK_DAYS = 7
EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0
YEAR_MS = 31_556_952_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinConfig:
    """The sizes of a model. ``dropout`` acts in training only.

    An item is predicted by its input vector and by ``target_dim`` numbers more: what is bought next
    is not what is like the last line, which the input vector alone cannot tell apart. ``core`` is
    one of ``cores.CORES``; ``context`` is how many events a core sees that looks back.
    """

    core: str = "lstm"
    item_dim: int = 32
    target_dim: int = 16
    kind_dim: int = 4
    country_dim: int = 8
    hidden: int = 64
    context: int = 100
    dropout: float = 0.1


class TwinModel(nn.Module):
    """A model of all customers; what differs between customers is in their states.

    Item rows are those of ``Dictionaries``; only the items with rows of their own can be predicted.
    Where there is a mixture, ``next_item``, the next item is foretold by that, and rollouts only
    draw it from the network. ``next_basket`` ranks what the next order may hold; it reads what the
    mixture remembers. ``rhythm`` says when orders come and what they are worth.
    Shapes: B customers, E encoding, H hidden, V items with a row of their own.
    """

    item_price: Tensor
    next_item: Mixture | None
    next_basket: BasketModel | None
    next_item_rows: Tensor
    rhythm: Rhythm

    def __init__(self, config: TwinConfig, dictionaries: Dictionaries) -> None:
        super().__init__()
        self.config = config
        self.dictionaries = dictionaries
        self.vocabulary = len(dictionaries.items)
        self.item = nn.Embedding(dictionaries.item_rows, config.item_dim)
        self.kind = nn.Embedding(len(EventKind) + 1, config.kind_dim)
        self.country = nn.Embedding(len(dictionaries.countries) + 1, config.country_dim)
        self.target = nn.Embedding(self.vocabulary, config.target_dim)
        self.item_bias = nn.Parameter(torch.zeros(self.vocabulary))
        self.start_h = nn.Linear(config.country_dim, config.hidden)
        self.start_c = nn.Linear(config.country_dim, config.hidden)
        self.core = built_core(
            config.core,
            encoding=self.encoding_size,
            hidden=config.hidden,
            context=config.context,
        )
        self.heads = Heads(config.hidden, config.item_dim, config.target_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("item_price", torch.ones(dictionaries.item_rows))
        self.next_item = None
        self.next_basket = None
        self.next_item_rows = torch.empty(0, dtype=torch.int64)
        self.rhythm = Rhythm.plain()
        self._start_small()

    @property
    def encoding_size(self) -> int:
        """The length E of one encoded event."""
        config = self.config
        return config.item_dim + config.kind_dim + config.country_dim + NUMBERS

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.item_bias.device

    def adopt(self, mixture: Mixture) -> None:
        """Foretell the next item by a mixture from here on."""
        self.next_item = mixture
        rows = look_up(self.dictionaries.item_index(), mixture.frame.vocabulary)
        self.next_item_rows = torch.from_numpy(rows)  # its items in our dictionaries

    # whole tables -------------------------------------------------------------------------------

    def initial_state(self, countries: Sequence[str]) -> TwinStates:
        """Return twins that know nothing but their customers' countries."""
        rows = look_up(self.dictionaries.country_index(), countries)
        with torch.inference_mode():
            # All countries at once: sums depend on the shape, which must not be that of the batch.
            h, c = self.start(torch.arange(self.country.num_embeddings, device=self.device))
        fresh = TwinStates.fresh(h.cpu().numpy()[rows], c.cpu().numpy()[rows])
        if self.next_item is None:
            return fresh
        return fresh.replaced(items=as_objects(self.next_item.fresh(countries)))

    def advance(self, states: TwinStates, events: EventTable) -> TwinStates:
        """Return the states after ``events``; row b of the states is customer b of the table.

        Any chunking of a history ends in the same counts exactly and in the same h and c up to
        rounding (1e-5). The argument is not changed.

        Raises:
            EventBeforeClock: an event is older than its twin's clock; fold that customer again.
        """
        orders = Orders.of(events, states)
        columns = encode(events, states, self.dictionaries, orders)
        h, c = fold(self, columns, events.customer, states.h, states.c)
        items = states.items
        if self.next_item is not None:
            items = as_objects(self.next_item.fold(items.tolist(), events))
        return remember(states.replaced(h=h, c=c, items=items), events, orders)

    def forecast(
        self, states: TwinStates, top_items: int = 20, market: Snapshot | None = None
    ) -> list[Forecast]:
        """Return what each twin expects next, as of its last event.

        ``market`` is the newest one, where there is a newer one than that of the training.
        """
        return forecasts(self, states, top_items, market)

    # single steps -------------------------------------------------------------------------------

    def start(self, country: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first ``h`` and ``c`` of customers from these country rows (B,)."""
        profile = self.country(country)
        h, c = torch.tanh(self.start_h(profile)), torch.tanh(self.start_c(profile))
        return h, self.core.begin(c)

    def encode_step(
        self,
        *,
        item: Tensor,
        kind: Tensor,
        country: Tensor,
        gap_days: Tensor,
        total: Tensor,
        quantity: Tensor,
        same_order: Tensor,
        occurred_at_ms: Tensor,
        offer_depth: Tensor,
        orders: Tensor,
        mean_gap_days: Tensor,
    ) -> Tensor:
        """Return encoded events (B, E); each argument is (B,).

        ``item``, ``kind``, ``country`` and ``occurred_at_ms`` are int64; ``total`` is in money and
        negative for returns; ``offer_depth`` is 0 where no offer is open. ``orders`` (opened so
        far) and ``mean_gap_days`` (between their starts, 0 before the second) count this event in.
        """
        plain = [
            torch.log1p(gap_days),
            torch.sign(total) * torch.log1p(total.abs()),
            torch.log1p(quantity),
            same_order,
            offer_depth,
            torch.log1p(orders),
            torch.log1p(mean_gap_days),
        ]
        angles = clock_angles(occurred_at_ms)
        numbers = torch.stack([column.float() for column in plain], dim=-1)
        parts = [self.dropout(self.item(item)), self.kind(kind), self.country(country), numbers]
        return torch.cat([*parts, torch.sin(angles), torch.cos(angles)], dim=-1)

    def item_logits(
        self, h: Tensor, same_order: Tensor | None = None, known: int | None = None
    ) -> Tensor:
        """Return scores (B, V) whose softmax is the distribution of the next item.

        With ``same_order`` (B,) it is known whether the line continues the present order; without,
        both cases are mixed (twice the work) and the scores are log-probabilities. ``known`` limits
        the choice to that many first items.
        """
        if same_order is not None:
            return self._scores(self.heads.query(h, same_order), known)
        continuing = self._scores(self.heads.next_in_order(h), known)
        opening = self._scores(self.heads.first_of_order(h), known)
        return mixed_items(self.heads(h).same_order_logit, continuing, opening)

    def item_logits_of_both(self, h: Tensor) -> Tensor:
        """Return scores (2, B, V) of a line that continues the order, and of one that opens one."""
        both = torch.stack([self.heads.next_in_order(h), self.heads.first_of_order(h)])
        return self._scores(both, None)

    def line_total(self, h: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation of the log line total for item rows ``item``.

        Shapes: ``item`` (B,) or (B, K), the results likewise.
        """
        if item.dim() > 1:
            h = h.unsqueeze(1).expand(-1, item.shape[1], -1)
        return self.heads.line_total(h, self.item(item), torch.log(self.item_price[item]))

    def output(self, h: Tensor) -> HeadOutput:
        """Return the heads that need no item."""
        result: HeadOutput = self.heads(h)
        return result

    def _scores(self, query: Tensor, known: int | None) -> Tensor:
        last = self.vocabulary if known is None else known
        items = torch.cat([self.item.weight[:last], self.target.weight[:last]], dim=-1)
        return functional.linear(query, items, self.item_bias[:last])

    def _start_small(self) -> None:
        """Tied vectors start small; kinds and buckets that training never meets stay neutral."""
        nn.init.normal_(self.item.weight, std=0.1)
        nn.init.normal_(self.target.weight, std=0.1)
        nn.init.zeros_(self.kind.weight)
        nn.init.normal_(self.country.weight, std=0.1)


def clock_angles(occurred_at_ms: Tensor) -> Tensor:
    """Return the angles (B, 3) of hour of day, day of week and season, in radians."""
    hour = (occurred_at_ms % DAY_MS).double() / DAY_MS
    # Not an integer division: ONNX has none for numbers of this size.
    since_monday = (occurred_at_ms + EPOCH_WEEKDAY * DAY_MS) % (WEEK_DAYS * DAY_MS)
    weekday = (since_monday.double() / DAY_MS).floor() / WEEK_DAYS
    season = (occurred_at_ms % YEAR_MS).double() / YEAR_MS
    return (2 * math.pi * torch.stack([hour, weekday, season], dim=-1)).float()
