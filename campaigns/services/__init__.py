"""Every write of campaigns. ``services.run`` loads the model code and is for workers only."""

from campaigns.services.audience import create_audience
from campaigns.services.campaign import Economics, create_campaign
from campaigns.services.decide import decide, forget_decisions, report_outcome
from campaigns.services.launch import cancel_launch, launch_campaign, sweep_launches
from campaigns.services.live_offers import close_live_offer, open_live_offer
from campaigns.services.products import ProductFacts, store_products
from campaigns.services.settle import settle_launch, settle_launches
from campaigns.services.start import repeat_simulation, start_simulation
from campaigns.services.sweep import sweep_simulations

__all__ = [
    "Economics",
    "ProductFacts",
    "cancel_launch",
    "close_live_offer",
    "create_audience",
    "create_campaign",
    "decide",
    "forget_decisions",
    "launch_campaign",
    "open_live_offer",
    "repeat_simulation",
    "report_outcome",
    "settle_launch",
    "settle_launches",
    "start_simulation",
    "store_products",
    "sweep_launches",
    "sweep_simulations",
]
