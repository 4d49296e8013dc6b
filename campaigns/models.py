"""What if: campaigns, audiences, simulation runs, and the twins as they were when a run began."""

import uuid
from datetime import datetime
from decimal import Decimal

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
    margin_rate = models.DecimalField(
        max_digits=5,
        decimal_places=4,
        null=True,
        blank=True,
        help_text="share of the regular price that is left after the cost of goods, for products "
        "without a unit cost; empty: not known",
    )
    funded_share = models.DecimalField(
        max_digits=5,
        decimal_places=4,
        default=0,
        help_text="share of the discount that somebody else pays, a supplier for instance",
    )
    contact_cost = models.DecimalField(
        max_digits=12, decimal_places=4, default=0, help_text="of contacting one customer"
    )
    fixed_cost = models.DecimalField(
        max_digits=12, decimal_places=2, default=0, help_text="of the campaign, whoever answers"
    )
    budget = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="the most that discount, contacts and fixed cost may come to; empty: no limit",
    )
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(offer_days__gt=0), name="campaign_offer_days_positive"
            ),
            models.CheckConstraint(
                condition=Q(margin_rate__isnull=True) | Q(margin_rate__gte=-1, margin_rate__lte=1),
                name="campaign_margin_rate_is_a_share",
            ),
            models.CheckConstraint(
                condition=Q(funded_share__gte=0, funded_share__lte=1),
                name="campaign_funded_share_is_a_share",
            ),
            models.CheckConstraint(
                condition=Q(contact_cost__gte=0, fixed_cost__gte=0)
                & (Q(budget__isnull=True) | Q(budget__gte=0)),
                name="campaign_costs_not_negative",
            ),
        ]
        indexes = [models.Index(fields=["-created_at", "-id"], name="campaign_newest")]

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    """What the shop knows of an item besides its sales; items that are only sold have no row."""

    sku = models.CharField(primary_key=True, max_length=100)
    name = models.CharField(max_length=200, blank=True)
    category = models.CharField(max_length=100, blank=True, db_index=True)
    price = models.DecimalField(
        max_digits=12, decimal_places=4, null=True, blank=True, help_text="regular, of one unit"
    )
    unit_cost = models.DecimalField(
        max_digits=12, decimal_places=4, null=True, blank=True, help_text="empty: not known"
    )
    stock = models.IntegerField(null=True, blank=True, help_text="units; empty: not counted")
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=(Q(price__isnull=True) | Q(price__gt=0))
                & (Q(unit_cost__isnull=True) | Q(unit_cost__gte=0))
                & (Q(stock__isnull=True) | Q(stock__gte=0)),
                name="product_figures_in_range",
            )
        ]

    def __str__(self) -> str:
        return self.sku


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
    unit_costs = models.JSONField(
        default=dict, help_text="of the products, by SKU, as they were when the run began"
    )
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


class PolicyLedgerEntry(models.Model):
    """One launch of a campaign: what was decided and forecast, and later what was measured.

    A launch and its entry are one row, so that nothing can be launched without being graded. Once
    launched only the settlement may still be written; a trigger refuses everything else.
    """

    class Status(models.TextChoices):
        LAUNCHING = "launching", "customers are being assigned"
        RUNNING = "running", "the offer is out"
        SETTLED = "settled", "measured"
        CANCELLED = "cancelled", "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="launches")
    simulation = models.ForeignKey(SimulationRun, on_delete=models.PROTECT, related_name="launches")
    operation = models.OneToOneField(Operation, on_delete=models.PROTECT, related_name="launch")
    status = models.CharField(max_length=10, choices=Status, default=Status.LAUNCHING)
    depth = models.DecimalField(max_digits=6, decimal_places=5, help_text="share of the price")
    delay_days = models.IntegerField(help_text="from the start of the window to that of the offer")
    holdout_share = models.DecimalField(max_digits=5, decimal_places=4)
    rules = models.JSONField(help_text="global hold-out and contact cap as they were at the launch")
    starts_at = models.DateTimeField(help_text="where what customers do begins to count")
    ends_at = models.DateTimeField(help_text="where it ends; not included")
    offer_starts_at = models.DateTimeField()
    offer_ends_at = models.DateTimeField()
    model_version = models.UUIDField()
    model_sha256 = models.CharField(max_length=64)
    response = models.JSONField(help_text="the response model, and what the uplift rests on")
    forecast = models.JSONField(help_text="of the chosen scenario, with its 90 % interval")
    treated = models.IntegerField(default=0)
    control = models.IntegerField(default=0)
    left_out = models.JSONField(default=dict, help_text="how many of the audience, by reason")
    measured = models.JSONField(null=True)
    launched_by = models.CharField(max_length=200)
    launched_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "policy ledger"
        constraints = [
            models.CheckConstraint(
                condition=Q(holdout_share__gte=0, holdout_share__lte=Decimal("0.9"))
                & Q(ends_at__gt=models.F("starts_at")),
                name="ledger_figures_in_range",
            ),
            models.CheckConstraint(
                condition=Q(status="settled", measured__isnull=False, settled_at__isnull=False)
                | (~Q(status="settled") & Q(measured__isnull=True, settled_at__isnull=True)),
                name="ledger_settled_is_measured",
            ),
        ]
        indexes = [
            models.Index(fields=["-launched_at", "-id"], name="ledger_newest"),
            models.Index(
                fields=["ends_at"], name="ledger_to_settle", condition=Q(status="running")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.campaign}, {self.launched_at:%Y-%m-%d %H:%M}"

    @property
    def assigned_at(self) -> datetime:
        """When its customers entered their arms: never in the future, the same for every retry."""
        return min(self.starts_at, self.launched_at)


class Exposure(models.Model):
    """The recorded fact that a customer was made an offer, or deliberately held out.

    By a launch, or by a decision that was reported as shown.
    """

    class Arm(models.TextChoices):
        TREATMENT = "treatment"
        CONTROL = "control"

    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, db_index=False)
    launch = models.ForeignKey(
        PolicyLedgerEntry,
        on_delete=models.PROTECT,
        related_name="exposures",
        null=True,
        db_index=False,
    )
    live_offer = models.ForeignKey(
        "campaigns.LiveOffer",
        on_delete=models.PROTECT,
        related_name="exposures",
        null=True,
        db_index=False,
    )
    decision = models.UUIDField(
        null=True, unique=True, help_text="its id; the decision itself is forgotten one day"
    )
    pseudonym = models.UUIDField()
    arm = models.CharField(max_length=9, choices=Arm)
    depth = models.DecimalField(max_digits=6, decimal_places=5, help_text="offered or held back")
    assigned_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["launch", "pseudonym"], name="exposure_once"),
            models.CheckConstraint(
                condition=Q(launch__isnull=False, live_offer__isnull=True, decision__isnull=True)
                | Q(launch__isnull=True, live_offer__isnull=False, decision__isnull=False),
                name="exposure_by_launch_or_decision",
            ),
        ]
        indexes = [
            models.Index(fields=["campaign", "-id"], name="exposure_of_campaign"),
            models.Index(fields=["pseudonym", "assigned_at"], name="exposure_of_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.arm} of {self.launch_id or self.live_offer_id}"


from campaigns.models_decisions import Decision as Decision  # noqa: E402 - looked for here
from campaigns.models_decisions import LiveOffer as LiveOffer  # noqa: E402
