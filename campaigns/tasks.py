"""Celery tasks of campaigns, on the queue ``simulations``."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from celery import shared_task
from django.db import OperationalError

from campaigns import services
from campaigns.services.expose import run_launch
from campaigns.services.run import run_simulation
from common.clock import now
from common.later import ask_later

BUDGET = timedelta(seconds=45)  # no chunk begins after this
# A chunk takes some ten seconds, on a crowded machine minutes; one that hangs must end too.
TIME_LIMIT_SECONDS = 900


@shared_task(
    name="campaigns.run_simulation",
    bind=True,
    autoretry_for=(OperationalError,),
    retry_backoff=True,
    time_limit=TIME_LIMIT_SECONDS,
)
def run_simulation_task(self: Any, operation_id: str) -> bool:
    """Work on a simulation for a while, then make room for others and ask to go on.

    Delivered twice, it takes different chunks or finds none.
    """
    holder = f"{self.request.hostname or 'worker'}/{uuid4()}"
    finished = run_simulation(
        operation_id=UUID(operation_id), holder=holder, clock=now, until=now() + BUDGET
    )
    if not finished:
        ask_later("campaigns.run_simulation", operation_id=operation_id)
    return finished


@shared_task(name="campaigns.sweep_simulations")
def sweep_simulations() -> int:
    """Tell workers about simulations whose own workers or nudges were lost."""
    return services.sweep_simulations(at=now())


@shared_task(
    name="campaigns.run_launch",
    bind=True,
    autoretry_for=(OperationalError,),
    retry_backoff=True,
    time_limit=TIME_LIMIT_SECONDS,
)
def run_launch_task(self: Any, operation_id: str) -> bool:
    """Assign customers of a launch for a while, then make room for others and ask to go on.

    Delivered twice, it takes different chunks or finds none.
    """
    holder = f"{self.request.hostname or 'worker'}/{uuid4()}"
    finished = run_launch(
        operation_id=UUID(operation_id), holder=holder, clock=now, until=now() + BUDGET
    )
    if not finished:
        ask_later("campaigns.run_launch", operation_id=operation_id)
    return finished


@shared_task(name="campaigns.sweep_launches")
def sweep_launches() -> int:
    """Tell workers about launches whose own workers or nudges were lost."""
    return services.sweep_launches(at=now())


@shared_task(name="campaigns.settle_launches")
def settle_launches() -> int:
    """Ask for the settlement of every launch whose window has been over for a day."""
    return services.settle_launches(at=now())


@shared_task(
    name="campaigns.settle_launch",
    autoretry_for=(OperationalError,),
    retry_backoff=True,
    time_limit=TIME_LIMIT_SECONDS,
)
def settle_launch(launch_id: str) -> str:
    """Measure and grade one launch; delivered twice, it finds it settled."""
    return services.settle_launch(launch_id=UUID(launch_id), at=now()).status


@shared_task(name="campaigns.forget_decisions")
def forget_decisions() -> int:
    """Forget some thousands of the decisions that are too old; delivered twice, some more."""
    return services.forget_decisions(at=now())
