"""Simulations that lost their workers find new ones."""

from datetime import datetime

from campaigns.selectors import stalled_operations
from campaigns.services.start import TASK
from common.later import ask_later


def sweep_simulations(*, at: datetime) -> int:
    """How many unfinished simulations nobody works on; a worker is told about each of them."""
    stalled = stalled_operations(at)
    for operation_id in stalled:
        ask_later(TASK, operation_id=str(operation_id))
    return len(stalled)
