"""Model versions, the heads of the twins, and immutable snapshots of them."""

import uuid
from datetime import UTC, datetime
from typing import Any

from django.db import models
from django.db.models import Q


class ModelVersion(models.Model):
    """One trained model: where its files are, what it learned from, how good it is.

    A trigger refuses every change but those of ``state`` and ``activated_at``.
    """

    class State(models.TextChoices):
        TRAINED = "trained"
        REBUILT = "rebuilt"  # its twins stand beside the live ones
        ACTIVE = "active"
        RETIRED = "retired"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80)
    state = models.CharField(max_length=8, choices=State, default=State.TRAINED)
    sha256 = models.CharField(max_length=64, unique=True, help_text="over all files of the model")
    prefix = models.CharField(max_length=100, help_text="folder in the storage of models")
    config = models.JSONField()
    report = models.JSONField()
    cut_off = models.DateTimeField(help_text="no event at or after this moment was seen")
    validation_from = models.DateTimeField()
    events_count = models.BigIntegerField(help_text="events before the cut-off")
    events_sha256 = models.CharField(max_length=64)
    seed = models.BigIntegerField()
    code_version = models.CharField(max_length=80)
    libraries = models.JSONField()
    created_at = models.DateTimeField(db_index=True)
    activated_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=Q(state="active"), name="one_active_model"
            )
        ]
        permissions = [("activate_modelversion", "Can activate a model version")]

    def __str__(self) -> str:
        return self.name

    @property
    def next_item_nll(self) -> float | None:
        """Validation negative log-likelihood of the next item, nats; None where none was scored."""
        methods = self.report.get("validation", {}).get("next_item", {}).get("all_lines", {})
        value = methods.get("model", {}).get("nll", {}).get("value")
        return None if value is None else float(value)


class Activation(models.Model):
    """The pointer to the active model moved: when, to what, and why."""

    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    replaced = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, null=True, related_name="+"
    )
    reason = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.model_version_id} at {self.at}"


class MarketSnapshot(models.Model):
    """What all customers bought before the midnight at which a day begins, as a model counts it.

    Predictions of the next item read the newest one and name it. Counts of a vocabulary, of no
    single customer: an erasure changes it with the next night. A trigger refuses UPDATE.
    """

    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.CASCADE, related_name="market_snapshots"
    )
    day = models.DateField(help_text="purchases before this day are counted")
    number = models.IntegerField(help_text="days on which anything was bought")
    lines = models.BigIntegerField(help_text="purchase lines counted")
    data = models.BinaryField(help_text="ml.mixture.market.Snapshot, compressed")
    taken_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["model_version", "day"], name="one_market_per_day")
        ]

    def __str__(self) -> str:
        return f"market of {self.day}"


class FidelityDay(models.Model):
    """How the twins of a model foresaw the purchase lines of a day: sums, of nobody in particular.

    One row for each segment and slot; what is read is their sum (``twins.fidelity``).
    """

    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.CASCADE, related_name="fidelity_days"
    )
    day = models.DateField(help_text="on which the twins were advanced, UTC")
    segment = models.CharField(max_length=8, help_text="how many orders the customer had before")
    opens = models.BooleanField(help_text="the line opened an order")
    slot = models.SmallIntegerField(help_text="a row for each process to add to")
    lines = models.BigIntegerField()
    known = models.BigIntegerField(help_text="lines of items that the model knows")
    hits_1 = models.BigIntegerField()
    hits_10 = models.BigIntegerField()
    reciprocal_ranks = models.FloatField(help_text="summed over ranks up to 20")
    nll = models.FloatField(help_text="nats, summed over the known lines")
    popularity_nll = models.FloatField(help_text="the same of the last 28 days' best sellers")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["model_version", "day", "segment", "opens", "slot"],
                name="one_fidelity_row_per_slot",
            )
        ]

    def __str__(self) -> str:
        return f"{self.day}, {self.segment} orders"


class TwinPayload(models.Model):
    """What a twin is at one stream version: everything that the fold of the events gives."""

    pseudonym = models.UUIDField()
    stream_version = models.IntegerField()
    clock_at = models.DateTimeField(
        null=True, help_text="last folded event; empty before the first"
    )
    h = models.BinaryField()
    c = models.BinaryField()
    memory = models.JSONField(help_text="exact counts, in milliseconds and cents")
    items = models.BinaryField(
        default=bytes, help_text="own items and the open order: ml.mixture.memory.Memory"
    )
    forecast = models.JSONField(help_text="parameters; predictions follow from them in closed form")

    class Meta:
        abstract = True

    @property
    def clock_ms(self) -> int:
        """The time of the last folded event, 0 before the first."""
        return int(self.memory["clock_ms"])

    def moment(self, name: str) -> datetime | None:
        """A time of the memory (``last_order_ms``, ``first_order_ms``); None where it is 0."""
        milliseconds: Any = self.memory[name]
        return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


class Twin(TwinPayload):
    """The newest state of one customer's twin under one model version.

    A twin that waits has left out events that came later than the budget allows; the nightly
    rebuild folds them in. Until then it is the fold of all events but those.
    """

    class FoldMode(models.TextChoices):
        ADVANCED = "advanced"  # new events were folded onto the state before them
        REWOUND = "rewound"  # a late event came: folded again from a snapshot before it
        REFOLDED = "refolded"  # a late event came: folded again from the first event
        REBUILT = "rebuilt"  # folded from the first event beside the live twins

    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="twins")
    fold_mode = models.CharField(max_length=8, choices=FoldMode)
    snapshot_version = models.IntegerField(help_text="stream version of the last snapshot, or 0")
    updated_at = models.DateTimeField()
    waits_since = models.DateTimeField(
        null=True, blank=True, help_text="since when late events wait for the nightly rebuild"
    )
    waiting_events = models.IntegerField(
        default=0, help_text="how many late events the nightly rebuild will fold in"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["pseudonym", "model_version"], name="one_twin_per_model"
            ),
            models.CheckConstraint(
                condition=Q(waits_since__isnull=True) ^ Q(waiting_events__gt=0),
                name="a_twin_waits_for_events",
            ),
        ]
        indexes = [
            models.Index(
                fields=["model_version", "pseudonym"],
                name="twins_twin_waiting",
                condition=Q(waits_since__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.pseudonym} at version {self.stream_version}"


class TwinSnapshot(TwinPayload):
    """A copy of a twin that never changes; a trigger refuses UPDATE.

    It is the fold of the stream's first ``stream_version`` events in the order in which they
    happened, all of them: of a twin that waits none is taken. Taken at the end of an advance that
    is the twin's first, that brings 50 events (``DTOC_SNAPSHOT_EVENTS``) or more since the last
    snapshot, or that moves the twin's clock into another day. Deleted by thinning and by an
    erasure in progress; a trigger refuses every other DELETE.
    """

    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="snapshots"
    )
    taken_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["pseudonym", "model_version", "stream_version"],
                name="one_snapshot_per_version",
            )
        ]

    def __str__(self) -> str:
        return f"{self.pseudonym} at version {self.stream_version}"


class ParkedStream(models.Model):
    """A stream whose fold fails: passed over by the advancer until its next try, or until mended.

    One row for each stream and model version; gone as soon as a try succeeds.
    """

    pseudonym = models.UUIDField()
    model_version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="parked")
    error = models.CharField(max_length=100, help_text="the class of the last error")
    reason = models.CharField(max_length=300, help_text="what the last error said")
    attempts = models.IntegerField(help_text="how often the fold has failed")
    first_failed_at = models.DateTimeField()
    last_failed_at = models.DateTimeField()
    next_try_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["model_version", "pseudonym"], name="one_parking_per_stream"
            ),
            models.CheckConstraint(condition=Q(attempts__gt=0), name="parked_after_a_failure"),
        ]
        indexes = [models.Index(fields=["next_try_at"], name="twins_parked_due")]
        permissions = [("retry_parkedstream", "Can retry a parked stream now")]

    def __str__(self) -> str:
        return f"{self.pseudonym} after {self.attempts} attempts"
