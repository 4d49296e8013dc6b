"""How the web server's processes run; the number of them and the address come from the command."""

import gc
from typing import Any

threads = 4
graceful_timeout = 10
keepalive = 75  # a CRM that posts event by event should not open a connection for each
worker_class = "gthread"

ALLOCATIONS = 100_000


def post_worker_init(worker: Any) -> None:
    """The search for cycles passes over what was loaded at the start, and runs more rarely.

    A batch of a thousand events makes a hundred thousand objects and no cycle among them; at the
    interpreter's own threshold, looking for cycles takes a quarter of the time of a request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS, 50, 100)
