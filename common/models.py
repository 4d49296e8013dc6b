"""Long-running work, its chunks, and the answers kept for repeated requests."""

import uuid

from django.db import models
from django.db.models import Q

from common.api.renderers import MillisecondEncoder


class Operation(models.Model):
    """Long work that somebody asked for and may watch, cancel and read the result of."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"
        EXPIRED = "expired"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=40, db_index=True)
    status = models.CharField(max_length=12, choices=Status, default=Status.QUEUED)
    unit = models.CharField(max_length=40, help_text="what progress counts, for example customers")
    total = models.BigIntegerField()
    done = models.BigIntegerField(default=0)
    payload = models.JSONField(default=dict)
    requested_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    result_url = models.CharField(max_length=300, blank=True)
    error = models.JSONField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["kind", "created_at"],
                name="operation_unfinished",
                condition=Q(status__in=["queued", "running"]),
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def is_finished(self) -> bool:
        return self.status not in (self.Status.QUEUED, self.Status.RUNNING)


class WorkChunk(models.Model):
    """A piece of an operation that one worker does in some seconds, under a lease."""

    class State(models.TextChoices):
        QUEUED = "queued"
        LEASED = "leased"
        DONE = "done"

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="chunks")
    number = models.IntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.QUEUED)
    holder = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField(null=True)
    attempt = models.IntegerField(default=0)
    result = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["operation", "number"], name="one_chunk_per_number")
        ]
        indexes = [
            models.Index(
                fields=["operation", "number"], name="chunk_to_do", condition=~Q(state="done")
            )
        ]

    def __str__(self) -> str:
        return f"chunk {self.number} of {self.operation_id}"


class IdempotencyRecord(models.Model):
    """What a request with an Idempotency-Key was answered, for when it is sent again."""

    client = models.CharField(max_length=200)
    key = models.CharField(max_length=128)
    request_sha256 = models.CharField(max_length=64)
    status = models.SmallIntegerField()
    headers = models.JSONField(default=dict)
    body = models.JSONField(null=True, encoder=MillisecondEncoder)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client", "key"], name="one_answer_per_key")]

    def __str__(self) -> str:
        return f"{self.client} {self.key}"


class OutboxMessage(models.Model):
    """Something that others are to be told, written by ``common.outbox.announce`` alone."""

    class State(models.TextChoices):
        WAITING = "waiting", "waiting to be delivered"
        DELIVERED = "delivered", "delivered to everybody"

    id = models.UUIDField(
        primary_key=True, default=uuid.uuid4, editable=False, help_text="the webhook-id"
    )
    type = models.CharField(max_length=40)
    body = models.JSONField(encoder=MillisecondEncoder)
    created_at = models.DateTimeField(db_index=True)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)

    class Meta:
        indexes = [
            models.Index(fields=["created_at"], name="outbox_waiting", condition=Q(state="waiting"))
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"
