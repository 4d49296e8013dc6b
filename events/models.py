"""Tables of the event store. ``events_event`` is made by SQL, because Django cannot partition."""

from django.db import models
from django.db.models import F, Q


class Event(models.Model):
    """One stored fact. Written by ``events.services.append_batch`` and by nothing else.

    In the database the key is (stream, version); Django is told ``position``, because the admin
    refuses composite keys. ``txid`` (xid8) is left to SQL: Django has no type for it.
    """

    position = models.BigIntegerField(primary_key=True)
    stream = models.UUIDField()
    version = models.IntegerField()
    event_id = models.UUIDField()
    type = models.CharField(max_length=60)
    schema_version = models.SmallIntegerField()
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    data = models.JSONField()
    metadata = models.JSONField()

    class Meta:
        managed = False  # also keeps `flush` from truncating what must not be truncated
        db_table = "events_event"

    def __str__(self) -> str:
        return f"{self.type} {self.stream} {self.version}"


class Stream(models.Model):
    """How far one stream has come: last version appended, last version folded into the twin."""

    stream = models.UUIDField(primary_key=True)
    version = models.IntegerField()
    advanced_version = models.IntegerField(default=0)
    shard = models.SmallIntegerField()
    last_txid = models.BigIntegerField(help_text="the transaction that appended last")

    class Meta:
        indexes = [
            models.Index(
                fields=["shard"],
                name="events_stream_lagging",
                condition=Q(version__gt=F("advanced_version")),
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(advanced_version__gte=0) & Q(advanced_version__lte=F("version")),
                name="events_stream_advanced_within_version",
            )
        ]

    def __str__(self) -> str:
        return str(self.stream)

    @property
    def lag_events(self) -> int:
        return self.version - self.advanced_version


class ClosedStream(models.Model):
    """What is left of an erased stream: that it was there. The key is a hash, not the pseudonym."""

    stream_sha256 = models.BinaryField(primary_key=True, max_length=32)
    events = models.IntegerField()
    closed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"closed with {self.events} events"


class QuarantinedEvent(models.Model):
    """An event that could not be stored, with the reason; its body is sealed until it is resolved.

    One row for each id that a source sends, and one for each event without an id. Resolved means
    replayed, discarded or expired: the body is destroyed then, reason and ids stay for a while.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", "waiting for somebody"
        REPLAYED = "replayed", "replayed and stored"
        DISCARDED = "discarded", "discarded"
        EXPIRED = "expired", "expired unseen"

    class Form(models.TextChoices):
        NATIVE = "native", "an event of the API"
        CLOUDEVENT = "cloudevent", "a CloudEvent"
        SEGMENT = "segment", "a message of a Segment SDK"
        ROW = "row", "a row of a file"

    source = models.CharField(max_length=100)
    reason = models.CharField(max_length=40)
    detail = models.CharField(max_length=300)
    event_id = models.UUIDField(null=True)
    stream = models.UUIDField(null=True, help_text="whose it is, where that is known")
    subject_digest = models.BinaryField(
        null=True, max_length=32, help_text="whose it may be: the vault's digest"
    )
    body = models.BinaryField(editable=False, help_text="sealed; empty once resolved")
    body_digest = models.BinaryField(
        default=b"", max_length=32, editable=False, help_text="keyed SHA-256 of the body as sent"
    )
    form = models.CharField(max_length=10, choices=Form, default=Form.NATIVE)
    may_register = models.BooleanField(
        default=False, help_text="whether the sender may register customers"
    )
    received_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    expires_at = models.DateTimeField()
    attempts = models.IntegerField(default=0, help_text="how often it was replayed")
    last_problem = models.CharField(max_length=350, blank=True, help_text="of the last replay")
    mended_at = models.DateTimeField(null=True)
    mended_by = models.CharField(max_length=200, blank=True)
    mended_digest = models.BinaryField(
        default=b"", max_length=32, editable=False, help_text="keyed SHA-256 of the mended body"
    )
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.CharField(max_length=200, blank=True)
    stored_event_id = models.UUIDField(null=True, help_text="the id under which it was stored")
    stored_version = models.IntegerField(null=True, help_text="its version in the stream")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "event_id"], name="events_quarantined_once"),
            models.CheckConstraint(
                condition=Q(status="waiting") ^ Q(resolved_at__isnull=False),
                name="events_quarantined_resolved",
            ),
            models.CheckConstraint(
                condition=Q(status="waiting") | Q(body=b""), name="events_quarantined_destroyed"
            ),
        ]
        indexes = [
            models.Index(fields=["reason", "received_at"], name="events_quarantine_reason"),
            models.Index(fields=["status", "id"], name="events_quarantine_status"),
            models.Index(
                fields=["stream"],
                name="events_quarantine_stream",
                condition=Q(stream__isnull=False),
            ),
            models.Index(
                fields=["subject_digest"],
                name="events_quarantine_digest",
                condition=Q(subject_digest__isnull=False),
            ),
            models.Index(
                fields=["expires_at"], name="events_quarantine_due", condition=Q(status="waiting")
            ),
            models.Index(
                fields=["resolved_at"],
                name="events_quarantine_resolved",
                condition=Q(resolved_at__isnull=False),
            ),
            # Every batch asks whether anything of its source waits, however much is resolved.
            models.Index(
                fields=["source", "id"],
                name="events_quarantine_waiting",
                condition=Q(status="waiting"),
            ),
        ]
        permissions = [
            ("open_quarantined", "Can see the body of a quarantined event"),
            ("resolve_quarantined", "Can mend, replay and discard quarantined events"),
        ]

    def __str__(self) -> str:
        return f"{self.reason} from {self.source}"

    @property
    def is_waiting(self) -> bool:
        return self.status == self.Status.WAITING


class CustomType(models.Model):
    """An event type that this installation added, one row for each schema version.

    Rows are never changed, because stored events name them: a new schema is a new version.
    """

    class Origin(models.TextChoices):
        REGISTERED = "registered", "registered by somebody"
        OBSERVED = "observed", "seen in a collector's traffic"

    name = models.CharField(max_length=60)
    schema_version = models.SmallIntegerField(default=1)
    json_schema = models.JSONField(help_text="what `data` has to be: JSON Schema 2020-12")
    description = models.CharField(max_length=300, blank=True)
    origin = models.CharField(max_length=10, choices=Origin, default=Origin.REGISTERED)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["name", "schema_version"], name="events_custom_type_version"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.schema_version}"


class SkuDay(models.Model):
    """What the order lines of one item looked like on one day: sums of logarithms.

    ``q`` of the quantity, ``v`` of the line's value, ``qq`` and ``vv`` of their squares, over ``n``
    lines. Sixteen rows for a day, so that no writer queues. Moved by the statement that appends.
    """

    pk = models.CompositePrimaryKey("sku", "day", "slot")
    sku = models.CharField(max_length=64, db_collation="C")
    day = models.DateField()
    slot = models.SmallIntegerField()
    n = models.IntegerField()
    q = models.FloatField()
    qq = models.FloatField()
    v = models.FloatField()
    vv = models.FloatField()

    def __str__(self) -> str:
        return f"{self.sku} {self.day}"


class Intake(models.Model):
    """How many events of a source ended how. Sixteen rows a counter, so that no writer queues."""

    class Outcome(models.TextChoices):
        RECEIVED = "received"
        ACCEPTED = "accepted"
        DUPLICATE = "duplicate"
        QUARANTINED = "quarantined"
        REFUSED = "refused"

    source = models.CharField(max_length=100)
    outcome = models.CharField(max_length=12, choices=Outcome)
    reason = models.CharField(max_length=40, blank=True)
    slot = models.SmallIntegerField()
    count = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "outcome", "reason", "slot"], name="events_intake_counter"
            )
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.outcome} {self.reason}"


from events.models_feed import FeedEpoch as FeedEpoch  # noqa: E402 - Django looks for models here
from events.models_imports import Export as Export  # noqa: E402
from events.models_imports import Import as Import  # noqa: E402
