"""Which of a customer's last events moved the prediction: the twin folded once without each.

The last events are occluded one at a time, and so is every whole order that one of them belongs to;
all of them stand in one fold, as so many works of the same stream. What comes before is folded
once, from the newest snapshot that fits. Nothing is locked or written.

Source: occlusion after Zeiler and Fergus 2014, arXiv:1311.2901, of events instead of pixels; an
occluded event is not grey but never happened, so later events keep their times and gaps grow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Min

from events.catalogue import ItemPurchased
from events.selectors import StoredEvent, events_between
from ml.timing import predictions
from twins.bases import newest_bases
from twins.encoding import fold_order, is_folded
from twins.folding import Folded, Head, Mode, Work, fold, stored_states
from twins.heads import EPOCH
from twins.models import Twin
from twins.selectors import folded_versions_of, loaded_model

if TYPE_CHECKING:
    from ml.mixture.market import Snapshot
    from ml.twin import TwinModel

Lines = tuple[StoredEvent, ...]

MOST_LINES = 300  # looked at before the last events, to find where their orders begin

WAITS = "late events wait for the nightly rebuild: until then the twin is no fold of its events"
NOTHING = "no event of the customer has changed the twin yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A prediction in four numbers, or the difference of two.

    ``days_to_next_order`` is the median, None beyond five years. The item is the likeliest one of
    the prediction with all events, None where there is none; its probability is that of the first
    line of the next order.
    """

    order_within_30_days: float
    churn: float
    days_to_next_order: float | None
    top_item_probability: float | None

    def less(self, other: Figures) -> Figures:
        """What this prediction has over another."""
        return Figures(
            order_within_30_days=self.order_within_30_days - other.order_within_30_days,
            churn=self.churn - other.churn,
            days_to_next_order=_less(self.days_to_next_order, other.days_to_next_order),
            top_item_probability=_less(self.top_item_probability, other.top_item_probability),
        )


@dataclass(frozen=True, slots=True)
class Occluded:
    """One event, or the lines of one whole order, oldest first: the prediction without them.

    ``moved`` is what they changed: the prediction with them less the one without.
    """

    events: tuple[StoredEvent, ...]
    without: Figures
    moved: Figures

    @property
    def effect(self) -> float:
        """The largest change of the three probabilities, 0 to 1."""
        moved = self.moved
        shares = (moved.order_within_30_days, moved.churn, moved.top_item_probability or 0.0)
        return max(map(abs, shares))


@dataclass(frozen=True, slots=True)
class Occlusion:
    """What the last events moved, and the orders of more than one line; the largest effect first.

    ``whole`` is the prediction with all of them. ``reason`` says why there are none.
    """

    whole: Figures | None = None
    events: tuple[Occluded, ...] = ()
    orders: tuple[Occluded, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a history in fold order, and the twin before it; None: its profile.

    ``hidden`` are what is left out of it in turn: the last events one by one, then whole orders.
    """

    head: Head | None
    events: Sequence[StoredEvent]
    singles: Sequence[Lines]
    orders: Sequence[Lines]

    @property
    def hidden(self) -> list[Lines]:
        return [*self.singles, *self.orders]


def occlusion(
    live: Twin, *, events: int, as_of: datetime, top_item: str | None, market: Snapshot | None
) -> Occlusion:
    """What each of the last ``events`` that twins fold moved, asked about one moment.

    ``as_of`` is at or after the twin's last event.
    """
    if live.waits_since is not None:
        return Occlusion(reason=WAITS)
    model = loaded_model(live.model_version_id)
    tail = _tail_of(live, model, events, market)
    if not tail.events:
        return Occlusion(reason=NOTHING)
    works = [_without(live, tail, lines) for lines in [(), *tail.hidden]]
    folded = fold(model, works, market)
    whole, *others = _predicted(model, folded, as_of, top_item, market)
    found = [
        Occluded(lines, other, whole.less(other))
        for lines, other in zip(tail.hidden, others, strict=True)
    ]
    singles = len(tail.singles)
    return Occlusion(whole, _ranked(found[:singles]), _ranked(found[singles:]))


def _tail_of(live: Twin, model: TwinModel, events: int, market: Snapshot | None) -> Tail:
    """The last ``events`` of a twin with the rest of their orders, ready to be folded on."""
    rows = folded_versions_of(live).order_by("-occurred_at", "-version")
    newest = list(rows.values_list("version", flat=True)[: events + MOST_LINES])
    if not newest:
        return Tail(None, (), (), ())
    base = _base_before(live, min(newest))
    begins = base.stream_version if base else 0
    stream = events_between(live.pseudonym, after=begins, until=live.stream_version)
    ordered = _by_time(stream)
    looked_at = ordered[-len(newest) :]
    last = looked_at[-events:]
    cut = looked_at[:1] if len(newest) == events + MOST_LINES else []
    orders = _orders_of(looked_at, last, cut)
    hidden = {event.version for lines in (last, *orders) for event in lines}
    start = next((n for n, event in enumerate(ordered) if event.version in hidden), 0)
    head = base
    if start:
        head = _head(fold(model, [_work(live, base, ordered[:start])], market)[0])
    return Tail(head, ordered[start:], [(event,) for event in last], orders)


def _orders_of(
    looked_at: Iterable[StoredEvent], last: Iterable[StoredEvent], cut: Iterable[StoredEvent]
) -> list[Lines]:
    """The orders of more than one line that one of the last events belongs to, all their lines.

    One that begins with a ``cut`` event is left out: it may have begun before it.
    """
    orders: dict[str, list[StoredEvent]] = {}
    for event in looked_at:
        if isinstance(event.data, ItemPurchased):
            orders.setdefault(event.data.order_id, []).append(event)
    shown, unsure = ({event.version for event in events} for events in (last, cut))
    return [
        tuple(lines)
        for lines in orders.values()
        if len(lines) > 1 and lines[-1].version in shown and lines[0].version not in unsure
    ]


def _without(live: Twin, tail: Tail, hidden: Lines) -> Work:
    """The fold of the history in which the hidden events never happened."""
    versions = {event.version for event in hidden}
    return _work(live, tail.head, [e for e in tail.events if e.version not in versions])


def _base_before(live: Twin, version: int) -> Head | None:
    """The newest snapshot that saw nothing from ``version`` on, and that all of it may follow."""
    later = folded_versions_of(live).filter(version__gte=version)
    earliest = later.aggregate(moment=Min("occurred_at"))["moment"]
    streams = {live.pseudonym: version - 1}
    bases = newest_bases(live.model_version_id, streams, {live.pseudonym: earliest})
    return bases.get(live.pseudonym)


def _work(live: Twin, head: Head | None, events: Sequence[StoredEvent]) -> Work:
    ordered = fold_order(events, clock_ms=head.clock_ms if head else 0)
    return Work(live.pseudonym, live.stream_version, head, ordered, Mode.REFOLDED)


def _by_time(events: Iterable[StoredEvent]) -> list[StoredEvent]:
    return sorted(filter(is_folded, events), key=lambda e: (e.occurred_at_ms, e.version))


def _head(folded: Folded) -> Head:
    return Head(folded.stream_version, 0, folded.h, folded.c, folded.items, folded.memory)


def _predicted(
    model: TwinModel,
    folded: Sequence[Folded],
    as_of: datetime,
    top_item: str | None,
    market: Snapshot | None,
) -> list[Figures]:
    """What each of these twins predicts for one moment."""
    from ml.why.items import item_reasons  # torch: only where a model is loaded anyway

    as_of_ms = (as_of - EPOCH) // timedelta(milliseconds=1)
    states = stored_states([_head(twin) for twin in folded])
    asked = [top_item] if top_item else []
    result = []
    for twin, reasons in zip(folded, item_reasons(model, states, asked, market), strict=True):
        time = predictions(twin.forecast or {}, twin.memory["clock_ms"], as_of_ms)
        result.append(
            Figures(
                order_within_30_days=time["order_probability"]["within_30_days"],
                churn=time["churn"],
                days_to_next_order=time["median_days_to_order"],
                top_item_probability=reasons[0].probability if reasons else None,
            )
        )
    return result


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _ranked(found: list[Occluded]) -> tuple[Occluded, ...]:
    """By effect, the newest first where that is equal."""
    return tuple(sorted(found, key=lambda one: (-one.effect, -one.events[-1].version)))
