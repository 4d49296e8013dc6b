"""Who: customers, their encrypted identities, and what they asked us to do with their data."""

import uuid
from typing import Any

from django.db import models
from django.db.models import Q


class Customer(models.Model):
    """A data subject, known to the rest of the system by pseudonym only."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        RESTRICTED = "restricted"
        ERASED = "erased"  # while an erasure runs; afterwards the row is gone

    pseudonym = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    country = models.CharField(max_length=2, blank=True, help_text="ISO 3166-1 alpha-2, or empty")
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    registered_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["-registered_at", "pseudonym"], name="customer_newest")]
        permissions = [("erase_customer", "Can erase a customer on request")]

    def __str__(self) -> str:
        return str(self.pseudonym)


class SubjectKey(models.Model):
    """The key of one customer's identities, wrapped; without this row nothing opens them."""

    customer = models.OneToOneField(
        Customer, on_delete=models.CASCADE, primary_key=True, related_name="key"
    )
    wrapped = models.BinaryField()
    kek_id = models.CharField(max_length=16, help_text="which key-encryption key wrapped it")

    def __str__(self) -> str:
        return f"key of {self.customer_id}"


class Identity(models.Model):
    """What the outside world calls a customer: a keyed digest to look up, a ciphertext to read."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="identities")
    kind = models.CharField(max_length=40)
    digest = models.BinaryField(max_length=32)
    nonce = models.BinaryField(max_length=12)
    ciphertext = models.BinaryField()

    class Meta:
        verbose_name_plural = "identities"
        constraints = [
            # The digest first: a look-up of thousands of mixed kinds is one index scan.
            models.UniqueConstraint(fields=["digest", "kind"], name="one_customer_per_identity")
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.customer_id}"


class DataSubjectRequest(models.Model):
    """What a person asked for, how far it has come, and the signed proof that it was done."""

    class Right(models.TextChoices):
        ERASURE = "erasure"

    class Status(models.TextChoices):
        PENDING = "pending"
        IN_PROGRESS = "in_progress"
        COMPLETED = "completed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pseudonym = models.UUIDField(null=True, help_text="empty once the request is completed")
    pseudonym_sha256 = models.CharField(max_length=64)
    right = models.CharField(max_length=12, choices=Right)
    status = models.CharField(max_length=12, choices=Status, default=Status.PENDING)
    requested_by = models.CharField(max_length=200)
    requested_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="one month after the request (Art. 12 (3) GDPR)")
    completed_at = models.DateTimeField(null=True)
    retry_at = models.DateTimeField(null=True, help_text="when an unclean erasure is tried again")
    attempt = models.IntegerField(default=1)
    steps = models.JSONField(default=list)
    findings = models.JSONField(default=list, help_text="what the last scan still found")
    receipt = models.JSONField(null=True)
    # The identity values that the final scan looks for, sealed under the key-encryption key. They
    # outlive the subject's own key for as long as the request is open, so that an erasure that was
    # interrupted can still search for them; completing the request deletes them.
    sealed_identities = models.BinaryField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["pseudonym", "right"],
                condition=Q(status__in=["pending", "in_progress"]),
                name="one_open_request_per_right",
            ),
            models.CheckConstraint(
                condition=~Q(status="completed")
                | Q(receipt__isnull=False, completed_at__isnull=False),
                name="completed_has_receipt",
            ),
        ]
        indexes = [
            models.Index(
                fields=["requested_at"],
                name="request_open",
                condition=Q(status__in=["pending", "in_progress"]),
            )
        ]

    def __str__(self) -> str:
        return f"{self.right} {self.id}"

    @property
    def is_open(self) -> bool:
        return self.status in (self.Status.PENDING, self.Status.IN_PROGRESS)

    def has_done(self, step: str) -> bool:
        """Whether ``step`` was done; one that repeats, in the current attempt."""
        return any(
            done["name"] == step and done.get("attempt", self.attempt) == self.attempt
            for done in self.steps
        )

    def note(self, step: str, **facts: Any) -> None:
        """Add a finished step; the caller saves."""
        self.steps = [*self.steps, {"name": step, **facts}]


class Suppression(models.Model):
    """Somebody who was erased must not come back: digests only, kept for good."""

    kind = models.CharField(max_length=40)
    digest = models.BinaryField(max_length=32)
    request = models.ForeignKey(
        DataSubjectRequest, on_delete=models.PROTECT, related_name="suppressions"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["digest", "kind"], name="suppressed_once")]

    def __str__(self) -> str:
        return f"{self.kind} suppressed by {self.request_id}"
