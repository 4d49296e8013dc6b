"""Reading campaigns, audiences and simulations."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, QuerySet, Sum

from campaigns.errors import (
    UnknownAudience,
    UnknownCampaign,
    UnknownProduct,
    UnknownSimulation,
)
from campaigns.models import Audience, Campaign, Product, SimulationMember, SimulationRun
from common.models import WorkChunk
from common.operations import unfinished_operations

KIND = "simulation"


def campaigns() -> QuerySet[Campaign]:
    """All campaigns, the newest first."""
    return Campaign.objects.order_by("-created_at", "-id")


def campaign_by_id(campaign_id: UUID) -> Campaign:
    """One campaign.

    Raises:
        UnknownCampaign: there is none of that id.
    """
    campaign = Campaign.objects.filter(id=campaign_id).first()
    if campaign is None:
        raise UnknownCampaign(campaign_id=campaign_id)
    return campaign


def products() -> QuerySet[Product]:
    """All products, by SKU."""
    return Product.objects.order_by("sku")


def product_by_sku(sku: str) -> Product:
    """One product.

    Raises:
        UnknownProduct: nothing is known of that SKU.
    """
    product = Product.objects.filter(sku=sku).first()
    if product is None:
        raise UnknownProduct(sku=sku)
    return product


def unit_costs() -> dict[str, str]:
    """The unit costs that are known, as decimal strings by SKU."""
    known = products().values_list("sku", "unit_cost")
    return {sku: f"{cost.normalize():f}" for sku, cost in known if cost is not None}


def audience_by_id(audience_id: UUID) -> Audience:
    """One audience.

    Raises:
        UnknownAudience: there is none of that id.
    """
    audience = Audience.objects.filter(id=audience_id).first()
    if audience is None:
        raise UnknownAudience(audience_id=audience_id)
    return audience


def simulations(campaign_id: UUID | None = None) -> QuerySet[SimulationRun]:
    """Simulations, all or those of one campaign, the newest first; without members."""
    runs = SimulationRun.objects.select_related("campaign", "audience", "operation")
    if campaign_id is not None:
        runs = runs.filter(campaign_id=campaign_id)
    return runs.order_by("-created_at", "-id")


def simulation_by_id(simulation_id: UUID) -> SimulationRun:
    """One simulation with its campaign, audience and operation.

    Raises:
        UnknownSimulation: there is none of that id.
    """
    run = simulations().filter(id=simulation_id).first()
    if run is None:
        raise UnknownSimulation(simulation_id=simulation_id)
    return run


def simulation_of_operation(operation_id: UUID) -> SimulationRun:
    """The simulation that an operation works on.

    Raises:
        UnknownSimulation: the operation is none of a simulation.
    """
    run = simulations().filter(operation_id=operation_id).first()
    if run is None:
        raise UnknownSimulation(simulation_id=f"of operation {operation_id}")
    return run


def members_of_chunk(run_id: UUID, number: int) -> list[SimulationMember]:
    """The pinned twins of one chunk in the run's fixed order, without those erased since."""
    members = SimulationMember.objects.filter(run_id=run_id, chunk=number)
    return list(members.order_by("pseudonym"))


def stalled_operations(at: datetime) -> list[UUID]:
    """Unfinished simulations that nobody is working on: no chunk has a lease that still runs."""
    worked_on = WorkChunk.objects.filter(operation_id=OuterRef("operation_id"), lease_until__gte=at)
    unfinished = SimulationRun.objects.filter(operation_id__in=unfinished_operations(KIND))
    stalled = unfinished.filter(~Exists(worked_on)).order_by("created_at")
    return list(stalled.values_list("operation_id", flat=True))


def run_totals() -> dict[str, Any]:
    """Sums over all simulations, for the metrics."""
    by_status = SimulationRun.objects.values_list("operation__status").annotate(n=Count("id"))
    sums = SimulationRun.objects.aggregate(steps=Sum("steps"), done=Sum("operation__done"))
    return {
        "by_status": dict(by_status),
        "steps": sums["steps"] or 0,
        "customers": sums["done"] or 0,
    }
