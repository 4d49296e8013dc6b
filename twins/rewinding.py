"""What to do with the events that twins have not seen: fold them on, rewind, or let them wait.

Time order, not arrival order, decides what a twin believes. Where no unseen event happened before
the twin's clock, the events are folded on. Where one did, the twin is rewound to the newest
snapshot from which it may be folded (``twins.bases``) or, where none fits, to its beginning; what
follows is the rebuild's own fold from there, so it ends in the same twin.

How far back a rewind may go is bounded by a budget. Of a twin whose late event is older than that,
the late events are left out and counted, and it waits for the nightly rebuild; as long as it waits,
so do all of its late events. A twin that has seen nothing but its registration never waits: there
is nothing to fold again, and an imported history happened long before it was registered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from uuid import UUID

from events.selectors import StoredEvent, events_after
from twins.bases import newest_bases
from twins.encoding import fold_order
from twins.folding import Head, Histories, Mode, Work, by_stream, late_events, work_of
from twins.heads import moment_of

MILLISECOND = timedelta(milliseconds=1)


@dataclass(slots=True)
class Plan:
    """The work of one batch; ``postponed`` streams did not fit into it and have to come again."""

    works: list[Work] = field(default_factory=list)
    postponed: set[UUID] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Rewind:
    """Up to which version a stream is to be folded again, and what came late, where it is known."""

    version: int
    late_at: datetime | None = None


def planned(
    model_id: UUID,
    heads: Mapping[UUID, Head],
    unseen: Histories,
    *,
    budget: timedelta | None,
    most_events: int | None = None,
) -> Plan:
    """Every stream of ``unseen`` is advanced, rewound, or has its late events left out.

    ``budget`` None: nothing is left out, and twins that wait are rewound. ``most_events`` bounds
    what the rewinds of one batch fold, unless a single one is longer.
    """
    works: list[Work] = []
    rewinds: dict[UUID, Rewind] = {}
    for pseudonym, events in unseen.items():
        head = heads.get(pseudonym)
        late = late_events(events, head) if head else []
        if head is not None and budget is not None and late and _must_wait(head, late, budget):
            works.append(_left_out(pseudonym, events, head, late))
        elif head is not None and (late or (budget is None and head.waits_since)):
            rewinds[pseudonym] = Rewind(events[-1].version, _earliest(late))
        else:
            works.append(work_of(pseudonym, events, head))
    plan = rewound(model_id, rewinds, most_events=most_events)
    return Plan(works + plan.works, plan.postponed)


def rewound(
    model_id: UUID, rewinds: Mapping[UUID, Rewind], *, most_events: int | None = None
) -> Plan:
    """These streams folded again, each from the newest snapshot that fits or from its start."""
    if not rewinds:
        return Plan()
    until = {pseudonym: rewind.version for pseudonym, rewind in rewinds.items()}
    late_at = {pseudonym: rewind.late_at for pseudonym, rewind in rewinds.items()}
    bases = newest_bases(model_id, until, late_at)
    begins = {p: bases[p].stream_version if p in bases else 0 for p in until}
    fitting = _within({p: until[p] - begins[p] for p in until}, most_events)
    # Of an event that was appended meanwhile nobody has asked whether the base fits it.
    read = events_after({p: begins[p] for p in fitting})
    tails = by_stream(event for event in read if event.version <= until[event.stream])
    works = [
        work_of(p, tails[p], bases.get(p), Mode.REWOUND if p in bases else Mode.REFOLDED)
        for p in fitting
        if p in tails  # gone meanwhile: an erasure
    ]
    return Plan(works, set(until) - set(fitting))


def _must_wait(head: Head, late: list[StoredEvent], budget: timedelta) -> bool:
    if head.waits_since is not None:
        return True
    begun = head.memory["lines"] + head.memory["returns"] > 0
    oldest = min(event.occurred_at_ms for event in late)
    return begun and (head.clock_ms - oldest) * MILLISECOND > budget


def _left_out(
    pseudonym: UUID, events: list[StoredEvent], head: Head, late: list[StoredEvent]
) -> Work:
    """The events in time are folded on, so that the twin does not stand still until the night."""
    skipped = {event.version for event in late}
    onward = fold_order(
        (event for event in events if event.version not in skipped), clock_ms=head.clock_ms
    )
    return Work(pseudonym, events[-1].version, head, onward, Mode.ADVANCED, left_out=len(late))


def _earliest(late: list[StoredEvent]) -> datetime | None:
    return moment_of(min(event.occurred_at_ms for event in late)) if late else None


def _within(sizes: Mapping[UUID, int], most: int | None) -> list[UUID]:
    """The first streams whose sizes add up to no more than ``most``, but at least one."""
    if most is None:
        return list(sizes)
    sums = accumulate(sizes.values())
    return [p for i, (p, size) in enumerate(zip(sizes, sums, strict=True)) if not i or size <= most]
