"""Erasure stores of what belongs to no app above: kept answers, task results, admin log, Redis."""

from collections.abc import Sequence
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.db.models import Model, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django_celery_results.models import TaskResult

from common.models import IdempotencyRecord, OutboxMessage
from customers.erasure import Finding, Needles, Store
from customers.models import DataSubjectRequest
from customers.scan.redis import count_in_redis, erase_from_redis


def rows_naming(model: type[Model], columns: Sequence[str], pseudonym: UUID) -> QuerySet[Model]:
    """Rows of ``model`` in which one of the columns, read as text, holds the pseudonym."""
    texts = {f"{column}_text": Cast(column, TextField()) for column in columns}
    named = Q()
    for text in texts:
        named |= Q(**{f"{text}__icontains": str(pseudonym)})
    rows: QuerySet[Model] = model._default_manager.alias(**texts).filter(named)
    return rows


def table_store(name: str, model: type[Model], columns: Sequence[str]) -> Store:
    """A store of the rows that name a pseudonym in one of their columns; erased with the row."""

    def count(pseudonym: UUID) -> int:
        return rows_naming(model, columns, pseudonym).count()

    def erase(pseudonym: UUID, request_id: UUID) -> int:
        return rows_naming(model, columns, pseudonym).delete()[0]

    def scan(needles: Needles) -> list[Finding]:
        found = count(needles.pseudonym)
        return [Finding(name, "pseudonym", found)] if found else []

    return Store(name, count, erase, scan)


def _other_requests(pseudonym: UUID) -> QuerySet[DataSubjectRequest]:
    requests = DataSubjectRequest.objects.filter(pseudonym=pseudonym)
    return requests.exclude(status=DataSubjectRequest.Status.IN_PROGRESS)


def _forget_requests(pseudonym: UUID, request_id: UUID) -> int:
    return _other_requests(pseudonym).update(pseudonym=None, sealed_identities=None)


def _scan_requests(needles: Needles) -> list[Finding]:
    found = _other_requests(needles.pseudonym).count()
    return [Finding("customers.requests", "pseudonym", found)] if found else []


def _scan_redis(needles: Needles) -> list[Finding]:
    found = count_in_redis(needles.pseudonym)
    return [Finding("redis", "pseudonym", found)] if found else []


ANSWERS = table_store("common.answers", IdempotencyRecord, ("body", "headers"))
OUTBOX = table_store("common.outbox", OutboxMessage, ("body",))
TASK_RESULTS = table_store(
    "celery.results", TaskResult, ("task_args", "task_kwargs", "result", "traceback", "meta")
)
ADMIN_LOG = table_store("admin.log", LogEntry, ("object_id", "object_repr", "change_message"))
REQUESTS = Store(
    "customers.requests", lambda p: _other_requests(p).count(), _forget_requests, _scan_requests
)
REDIS = Store("redis", count_in_redis, lambda p, request_id: erase_from_redis(p), _scan_redis)
STORES = (ANSWERS, OUTBOX, TASK_RESULTS, ADMIN_LOG, REQUESTS, REDIS)
