"""Erasure on request: asked for once, run step by step, resumed after a crash, then proved."""

import calendar
from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.urls import reverse

from common.canonical_json import iso
from common.clock import running_from
from common.ids import code_version
from common.later import ask_later
from common.locks import lock_streams
from common.outbox import announce
from customers import receipts
from customers.errors import RequestAlreadyOpen, UnknownCustomer
from customers.models import Customer, DataSubjectRequest
from customers.scan.sought import sha256_of
from customers.selectors import due_erasures, open_erasure_of, request_by_id
from customers.services.steps import ERASE, Facts, Step, all_steps
from customers.services.verify import scan_for

TASK = "customers.run_erasure"
SCAN, RECEIPT = "verify", "receipt"
STAYS = [
    "digests of the identities and of the pseudonym, so that the person is not stored again",
    "totals that the person went into: trained model weights, results of campaigns",
]
LONGEST_PAUSE = timedelta(days=1)


class AnotherWorkerIsAtIt(Exception):
    """A step of this request is being done elsewhere; never leaves this module."""


def request_erasure(*, pseudonym: UUID, requested_by: str, at: datetime) -> DataSubjectRequest:
    """An erasure is open, due in a month, and a worker is told to run it.

    Raises:
        UnknownCustomer: there is none.
        RequestAlreadyOpen: the customer's erasure is under way.
    """
    request = begin_erasure(pseudonym=pseudonym, requested_by=requested_by, at=at)
    ask_later(TASK, request_id=str(request.id))
    return request


@transaction.atomic
def begin_erasure(*, pseudonym: UUID, requested_by: str, at: datetime) -> DataSubjectRequest:
    """The same without telling a worker: for callers that run the erasure themselves."""
    # The row lock keeps a second request for this customer waiting until this one is visible.
    customer = Customer.objects.select_for_update().filter(pseudonym=pseudonym).first()
    if (known := open_erasure_of(pseudonym)) is not None:
        raise RequestAlreadyOpen(request_id=known.id)
    if customer is None:
        raise UnknownCustomer(pseudonym=pseudonym)
    request = DataSubjectRequest.objects.create(
        pseudonym=pseudonym,
        pseudonym_sha256=sha256_of(pseudonym),
        right=DataSubjectRequest.Right.ERASURE,
        requested_by=requested_by,
        requested_at=at,
        due_at=a_month_after(at),
    )
    _announce_status(request, at)
    return request


def erase_now(*, pseudonym: UUID, requested_by: str, at: datetime) -> DataSubjectRequest:
    """The customer's erasure was run here and now: the open one, or else a new one.

    Raises:
        UnknownCustomer: there is none.
    """
    request = open_erasure_of(pseudonym)
    if request is None:
        request = begin_erasure(pseudonym=pseudonym, requested_by=requested_by, at=at)
    return run_erasure(request_id=request.id, at=at)


def run_erasure(*, request_id: UUID, at: datetime) -> DataSubjectRequest:
    """The erasure is completed, or as far as it came: run again, it goes on where it stopped.

    Every step commits on its own together with the note that it is done. Two runs at once do each
    step once; the one that finds the other at work leaves it to it. A scan that still finds
    something leaves the request open, with the places found and a time to try again; only a clean
    scan leads to a receipt and to ``completed``.

    Raises:
        UnknownRequest: there is none of that id.
    """
    request = request_by_id(request_id)
    pseudonym = request.pseudonym
    if not request.is_open or pseudonym is None:
        return request
    _begin(request, at)
    clock = running_from(at)
    try:
        for step in all_steps():
            _do(step, request_id, pseudonym, clock())
        _verify(request_id, clock())
        _complete(request_id, clock())
    except AnotherWorkerIsAtIt:
        pass  # it goes on with every step; waiting for its scan would only keep a worker idle
    return request_by_id(request_id)


def resume_erasures(*, at: datetime) -> int:
    """A worker is told to run each erasure that is due; returns how many."""
    due = due_erasures(at)
    for request_id in due:
        ask_later(TASK, request_id=str(request_id))
    return len(due)


@transaction.atomic
def _begin(request: DataSubjectRequest, at: datetime) -> None:
    pending = DataSubjectRequest.objects.filter(
        id=request.id, status=DataSubjectRequest.Status.PENDING
    )
    if pending.update(status=DataSubjectRequest.Status.IN_PROGRESS):
        request.status = DataSubjectRequest.Status.IN_PROGRESS
        _announce_status(request, at)


@transaction.atomic
def _do(step: Step, request_id: UUID, pseudonym: UUID, at: datetime) -> None:
    lock_streams([pseudonym])  # before any row is locked or written: steps may touch the stream
    request = _locked(request_id)
    if not _is_running(request) or request.has_done(step.name):
        return
    facts: Facts = step.perform(request, pseudonym, at)
    if step.repeats:
        facts["attempt"] = request.attempt
    request.note(step.name, done_at=iso(at), **facts)
    request.save(update_fields=["steps", "sealed_identities"])


@transaction.atomic
def _verify(request_id: UUID, at: datetime) -> None:
    request = _locked(request_id)
    if not _is_running(request) or request.has_done(SCAN):
        return
    report = scan_for(request).as_json()
    request.findings = report["findings"]
    if report["clean"]:
        request.note(SCAN, done_at=iso(at), attempt=request.attempt, scan=report)
        request.retry_at = None
    else:
        # The next attempt empties every store again: something came in late, or was forgotten.
        request.retry_at = at + min(timedelta(minutes=2**request.attempt), LONGEST_PAUSE)
        request.attempt = min(request.attempt + 1, 30)
    request.save(update_fields=["steps", "findings", "attempt", "retry_at"])


@transaction.atomic
def _complete(request_id: UUID, at: datetime) -> None:
    request = _locked(request_id)
    if not _is_running(request) or not request.has_done(SCAN):
        return
    request.receipt = receipts.signed(_receipt_body(request, at))
    request.note(RECEIPT, done_at=iso(at))
    request.status = DataSubjectRequest.Status.COMPLETED
    request.completed_at = at
    request.pseudonym = None
    request.sealed_identities = None
    request.save()
    _announce_status(request, at)
    # By its hash: a message that named the pseudonym would keep what was just erased. Whoever
    # holds a copy of the twin hashes the pseudonyms that they know.
    erased = {"request_id": str(request.id), "pseudonym_sha256": request.pseudonym_sha256}
    announce(type="twin.erased", body=erased | _links(request), at=at)


def _announce_status(request: DataSubjectRequest, at: datetime) -> None:
    facts = {"request_id": str(request.id), "right": request.right, "status": request.status}
    announce(type="request.status_changed", body=facts | _links(request), at=at)


def _links(request: DataSubjectRequest) -> dict[str, Any]:
    return {"links": {"request": reverse("erasure", args=[request.id])}}


def _locked(request_id: UUID) -> DataSubjectRequest:
    requests = DataSubjectRequest.objects.select_for_update(skip_locked=True)
    request = requests.filter(id=request_id).first()
    if request is None:
        raise AnotherWorkerIsAtIt
    return request


def _is_running(request: DataSubjectRequest) -> bool:
    return request.status == DataSubjectRequest.Status.IN_PROGRESS


def _receipt_body(request: DataSubjectRequest, at: datetime) -> dict[str, Any]:
    steps = {step["name"]: step for step in request.steps}
    return {
        "type": "erasure receipt",
        "version": 1,
        "request_id": str(request.id),
        "pseudonym_sha256": request.pseudonym_sha256,
        "requested_at": iso(request.requested_at),
        "completed_at": iso(at),
        "attempts": request.attempt,
        "suppressed": steps["suppress"]["identities"],
        "destroyed": {name: steps["destroy identities"][name] for name in ("identities", "keys")},
        "stores": _totals(request.steps),
        "scan": steps[SCAN]["scan"],
        "stays": STAYS,
        "code_version": code_version(),
    }


def _totals(steps: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """What was found and deleted by store, over all attempts."""
    totals: dict[str, Counter[str]] = {}
    for step in steps:
        if step["name"].startswith(ERASE):
            total = totals.setdefault(step["name"].removeprefix(ERASE), Counter())
            total.update(found=step["found"], deleted=step["deleted"])
    return {name: dict(total) for name, total in totals.items()}


def a_month_after(moment: datetime) -> datetime:
    """The same day of the next month, or its last day where it has no such day."""
    year, month = divmod(moment.year * 12 + moment.month, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))
