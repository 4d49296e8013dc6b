"""Offers that decisions may choose, and the decisions."""

import uuid
from datetime import datetime
from decimal import Decimal

from django.db import models
from django.db.models import F, Q

from campaigns.models import Campaign


class LiveOffer(models.Model):
    """A campaign at one depth, open to be chosen for single customers in [starts_at, ends_at).

    Never changed but by closing it: what a decision rests on has to stay readable.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="live_offers")
    depth = models.DecimalField(max_digits=6, decimal_places=5, help_text="share of the price")
    skus = models.JSONField(
        default=list, blank=True, help_text="the products that it holds for; empty: all"
    )
    least_order_value = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="orders below this do not get it; empty: every order does",
    )
    holdout_share = models.DecimalField(max_digits=5, decimal_places=4)
    response = models.JSONField(help_text="the elasticity, its spread, and where they come from")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(help_text="not included; whoever has the offer keeps it")
    opened_by = models.CharField(max_length=200)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(depth__gt=0, depth__lte=Decimal("0.9"))
                & Q(holdout_share__gte=0, holdout_share__lte=Decimal("0.9"))
                & (Q(least_order_value__isnull=True) | Q(least_order_value__gt=0))
                & Q(ends_at__gt=F("starts_at")),
                name="live_offer_figures_in_range",
            )
        ]
        indexes = [
            models.Index(fields=["-opened_at", "-id"], name="live_offer_newest"),
            models.Index(
                fields=["ends_at"], name="live_offer_open", condition=Q(closed_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.campaign}, {self.depth.normalize():%}"

    @property
    def stops_at(self) -> datetime:
        """When no decision chooses it any more."""
        return min(self.closed_at or self.ends_at, self.ends_at)


class Decision(models.Model):
    """What was decided for one customer, what else was considered, and why; never changed.

    Only the outcome is written later, once. Erased with the customer.
    """

    class Outcome(models.TextChoices):
        SHOWN = "shown"
        NOT_SHOWN = "not_shown", "not shown"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pseudonym = models.UUIDField()
    decided_at = models.DateTimeField()
    asked_by = models.CharField(max_length=200)
    reason = models.CharField(max_length=30, help_text="why it is what it is; a code")
    words = models.TextField(help_text="the same in words")
    live_offer = models.ForeignKey(
        LiveOffer, on_delete=models.PROTECT, null=True, blank=True, db_index=False,
        help_text="the best one, whether it was made or held back; empty: none is worth it",
    )  # fmt: skip
    arm = models.CharField(
        max_length=9, choices=[("treatment", "treatment"), ("control", "control")], blank=True
    )
    show_until = models.DateTimeField(
        null=True, blank=True, help_text="until then it counts as a contact, reported or not"
    )
    model_version = models.UUIDField(null=True, blank=True)
    stream_version = models.IntegerField(null=True, blank=True, help_text="of the twin")
    twin = models.JSONField(null=True, help_text="what it expected; empty where nobody asked it")
    candidates = models.JSONField(help_text="every open offer, its expected margin and why not")
    rules = models.JSONField(help_text="the settings and statements that were obeyed")
    outcome = models.CharField(max_length=9, choices=Outcome, blank=True)
    outcome_at = models.DateTimeField(null=True, blank=True, help_text="when it was shown, or not")
    reported_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(arm="", live_offer__isnull=True, show_until__isnull=True, outcome="")
                | (~Q(arm="") & Q(live_offer__isnull=False, show_until__isnull=False)),
                name="decision_has_an_arm_with_its_offer",
            ),
            models.CheckConstraint(
                condition=Q(outcome="", outcome_at__isnull=True, reported_at__isnull=True)
                | (~Q(outcome="") & Q(outcome_at__isnull=False, reported_at__isnull=False)),
                name="decision_outcome_has_its_times",
            ),
        ]
        indexes = [
            models.Index(fields=["-decided_at", "-id"], name="decision_newest"),
            models.Index(fields=["pseudonym", "-decided_at", "-id"], name="decision_of_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.arm or 'no offer'}, {self.decided_at:%Y-%m-%d %H:%M}"

    @property
    def exposure_id(self) -> uuid.UUID | None:
        """Under which its outcome is to be reported; None where there is nothing to report."""
        return self.id if self.arm else None
