"""What if: campaigns, audiences, simulation runs, and the twins as they were when a run began."""

import uuid

from django.db import models
from django.db.models import Q

from common.models import Operation


class Campaign(models.Model):
    """An offer that somebody thinks about making."""

    class OfferKind(models.TextChoices):
        DISCOUNT = "discount"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    offer_kind = models.CharField(
        max_length=12, choices=OfferKind, default=OfferKind.DISCOUNT, verbose_name="offer"
    )
    offer_days = models.IntegerField(help_text="how long the offer stays open")
    currency = models.CharField(max_length=3, help_text="ISO 4217; what the shop's prices are in")
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(offer_days__gt=0), name="campaign_offer_days_positive"
            )
        ]
        indexes = [models.Index(fields=["-created_at", "-id"], name="campaign_newest")]

    def __str__(self) -> str:
        return self.name


class Audience(models.Model):
    """Who a filter over twins matched at one moment; what follows is never evaluated again."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    criteria = models.JSONField(help_text="the filter; an explicit list only as count and SHA-256")
    evaluated_at = models.DateTimeField(help_text="the moment that recency and churn refer to")
    model_version = models.UUIDField()
    size = models.IntegerField()
    sha256 = models.CharField(max_length=64, help_text="of the sorted pseudonyms")
    left_out = models.JSONField(help_text="how many were left out, by reason")
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(size__gt=0), name="audience_not_empty"),
        ]
        indexes = [models.Index(fields=["-created_at", "-id"], name="audience_newest")]

    def __str__(self) -> str:
        return f"{self.size} customers, {self.created_at:%Y-%m-%d %H:%M}"


class AudienceMember(models.Model):
    """One customer of an audience; erased with the customer, while size and SHA-256 stay."""

    audience = models.ForeignKey(Audience, on_delete=models.CASCADE, related_name="members")
    pseudonym = models.UUIDField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["audience", "pseudonym"], name="audience_member_once")
        ]

    def __str__(self) -> str:
        return str(self.pseudonym)


class SimulationRun(models.Model):
    """A campaign rolled out on an audience's twins, for every point of a grid."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="simulations")
    audience = models.ForeignKey(Audience, on_delete=models.PROTECT, related_name="simulations")
    operation = models.OneToOneField(
        Operation, on_delete=models.PROTECT, related_name="simulation_run"
    )
    repeats = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, help_text="the run that this one does again"
    )
    depths = models.JSONField(help_text="shares of the price, as decimal strings")
    delays_days = models.JSONField()
    horizon_days = models.IntegerField()
    replicates = models.IntegerField()
    seed = models.BigIntegerField()
    chunk_size = models.IntegerField(help_text="customers in a chunk; fixed for the run")
    response = models.JSONField()
    model_version = models.UUIDField()
    as_of = models.DateTimeField(help_text="where the simulated horizon begins")
    code_version = models.CharField(max_length=100)
    manifest = models.JSONField(help_text="everything that the result depends on")
    manifest_sha256 = models.CharField(max_length=64)
    result = models.JSONField(null=True)
    steps = models.BigIntegerField(default=0, help_text="simulated order lines of all arms")
    requested_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["-created_at", "-id"], name="simulation_newest")]

    def __str__(self) -> str:
        return f"{self.campaign}, {self.created_at:%Y-%m-%d %H:%M}"


class SimulationMember(models.Model):
    """One twin as it was when the run began, so that later events change no result.

    Kept with the run, which can therefore be repeated to the last digit; erased with the customer.
    """

    run = models.ForeignKey(SimulationRun, on_delete=models.CASCADE, related_name="members")
    chunk = models.IntegerField()
    pseudonym = models.UUIDField(db_index=True)
    stream_version = models.IntegerField()
    country = models.CharField(max_length=2, blank=True)
    h = models.BinaryField()
    c = models.BinaryField()
    memory = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "chunk", "pseudonym"], name="simulation_member_once"
            )
        ]

    def __str__(self) -> str:
        return str(self.pseudonym)
