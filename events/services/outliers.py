"""Which order lines are far from what their item usually sells like.

A line is an outlier where its quantity or its value lies more than three standard deviations from
the mean of its item's lines of the last 30 days, on the scale of logarithms, once there are 20 of
them. The model skips outliers; nothing else does.

Each process keeps the windows that it met for a minute, adds what it appends itself, and so learns
within a minute of what others append.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

import msgspec
from django.db import connection

from events.catalogue import OrderLine
from events.services.append import NewEvent, logarithms

WINDOW_DAYS = 30
LEAST_LINES = 20
DEVIATIONS = 3.0
# An item that always sells by the piece has no deviation at all; two pieces are no outlier though.
LEAST_DEVIATION = 0.25  # three of them are a factor of 2.1
KEPT_SECONDS = 60.0
MARGIN_DAYS = 30  # kept beyond the window, so that a line of last week loads nothing again
LARGEST = 20_000  # items

Line = tuple[str, int, "Lines"]
"""The item, the day (counted from 1970 on, UTC), and what the line is like."""


@dataclass(slots=True)
class Lines:
    """Sums of logarithms over some order lines, and of their squares."""

    n: int = 0
    q: float = 0.0
    qq: float = 0.0
    v: float = 0.0
    vv: float = 0.0

    def add(self, other: "Lines", sign: int = 1) -> None:
        self.n += sign * other.n
        self.q += sign * other.q
        self.qq += sign * other.qq
        self.v += sign * other.v
        self.vv += sign * other.vv

    def is_far(self, line: "Lines") -> bool:
        """Whether a single line lies far from these."""
        if self.n < LEAST_LINES:
            return False
        quantity = _far(line.q, self.n, self.q, self.qq)
        return quantity or _far(line.v, self.n, self.v, self.vv)


def with_outliers_marked(events: Sequence[NewEvent]) -> list[NewEvent]:
    """The same events; the metadata of outliers say so. Technical lines are none."""
    lines = {
        number: line for number, event in enumerate(events) if (line := line_of(event)) is not None
    }
    marked = list(events)
    for number, is_outlier in zip(lines, windows.mark(list(lines.values())), strict=True):
        if is_outlier:
            marked[number] = as_outlier(events[number])
    return marked


def line_of(event: NewEvent) -> Line | None:
    """What an order line is to the windows; None for all other events and for technical lines."""
    if isinstance(event.data, OrderLine) and "technical" not in event.metadata:
        return event.data.sku, _day(event), _of(event.data)
    return None


def as_outlier(event: NewEvent) -> NewEvent:
    """The same event, marked."""
    return msgspec.structs.replace(event, metadata={**event.metadata, "outlier": True})


def _day(event: NewEvent) -> int:
    return int(event.occurred_at.timestamp() // 86_400)


def _of(line: OrderLine) -> Lines:
    q, v = logarithms(line)
    return Lines(1, q, q * q, v, v * v)


@dataclass(slots=True)
class Window:
    """The days of one item from ``since`` on: as they were loaded, with what was added here."""

    loaded_at: float
    since: int
    days: dict[int, Lines] = field(default_factory=dict)
    day: int = -1  # that ``total`` reaches up to
    total: Lines = field(default_factory=Lines)

    def until(self, day: int) -> Lines:
        """The lines of ``day`` and of the 30 days before it."""
        if day < self.day or day - self.day > WINDOW_DAYS or self.day < 0:
            self.total = Lines()
            self._move(range(day - WINDOW_DAYS, day + 1), 1)
        elif day > self.day:
            self._move(range(self.day + 1, day + 1), 1)
            self._move(range(self.day - WINDOW_DAYS, day - WINDOW_DAYS), -1)
        self.day = day
        return self.total

    def add(self, day: int, line: Lines) -> None:
        self.days.setdefault(day, Lines()).add(line)
        if self.day - WINDOW_DAYS <= day <= self.day:
            self.total.add(line)

    def forget_before(self, day: int) -> None:
        """Days that no line asks for while time goes on are dropped; loading brings them back."""
        if self.since < day:
            self.days = {other: lines for other, lines in self.days.items() if other >= day}
            self.since = day

    def is_good(self, moment: float, first_day: int) -> bool:
        """Whether it reaches back as far as is asked, and was loaded not too long ago."""
        return self.since <= first_day and moment - self.loaded_at < KEPT_SECONDS

    def _move(self, days: range, sign: int) -> None:
        for day in days:
            lines = self.days.get(day)
            if lines is not None:
                self.total.add(lines, sign)


class Windows:
    """The windows that this process met; safe for threads."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}
        self._lock = Lock()

    def mark(self, lines: Sequence[Line]) -> list[bool]:
        """Of each line, in this order, whether it is an outlier among those before it."""
        if not lines:
            return []
        with self._lock:
            self._load(lines)
            marks = [self._marked(*line) for line in lines]
            newest = max(day for _, day, _ in lines)
            for sku in {sku for sku, _, _ in lines}:
                self._windows[sku].forget_before(newest - WINDOW_DAYS - MARGIN_DAYS)
            return marks

    def is_outlier(self, line: Line) -> bool:
        """Whether a line that comes alone is one; it counts once it is added."""
        sku, day, what = line
        with self._lock:
            self._load([line])
            return self._windows[sku].until(day).is_far(what)

    def add(self, line: Line) -> None:
        """A line that was asked about, and is stored, is one of those before the next."""
        sku, day, what = line
        with self._lock:
            window = self._windows.get(sku)
            if window is None:
                return  # whoever loads it again finds the line in the store
            window.add(day, what)
            window.forget_before(day - WINDOW_DAYS - MARGIN_DAYS)

    def clear(self) -> None:
        with self._lock:
            self._windows.clear()

    def _marked(self, sku: str, day: int, line: Lines) -> bool:
        window = self._windows[sku]
        is_far = window.until(day).is_far(line)
        window.add(day, line)
        return is_far

    def _load(self, lines: Sequence[Line]) -> None:
        """Every item has a window that reaches back far enough."""
        moment = time.monotonic()
        if len(self._windows) > LARGEST:
            self._windows.clear()
        first: dict[str, int] = {}
        for sku, day, _ in lines:
            first[sku] = min(first.get(sku, day), day)
        asked = {
            sku: day - WINDOW_DAYS - MARGIN_DAYS
            for sku, day in first.items()
            if sku not in self._windows or not self._windows[sku].is_good(moment, day - WINDOW_DAYS)
        }
        self._windows |= {sku: Window(moment, since) for sku, since in asked.items()}
        for sku, day, stored in stored_days(asked):
            self._windows[sku].days[day] = stored


windows = Windows()

# Made by the migration `append_known`.
DAYS = "SELECT * FROM events_sku_days(%s::text[], %s::int[])"


def stored_days(since: Mapping[str, int]) -> list[Line]:
    """What the store knows of each item from its day on."""
    if not since:
        return []
    with connection.cursor() as cursor:
        cursor.execute(DAYS, [list(since), list(since.values())])
        return [(sku, day, Lines(*sums)) for sku, day, *sums in cursor]


def _far(x: float, n: int, total: float, squares: float) -> bool:
    mean = total / n
    deviation = math.sqrt(max(squares - total * mean, 0.0) / (n - 1))
    return abs(x - mean) > DEVIATIONS * max(deviation, LEAST_DEVIATION)
