"""Every write of campaigns. ``services.run`` loads the model code and is for workers only."""

from campaigns.services.audience import create_audience
from campaigns.services.campaign import create_campaign
from campaigns.services.start import repeat_simulation, start_simulation
from campaigns.services.sweep import sweep_simulations

__all__ = [
    "create_audience",
    "create_campaign",
    "repeat_simulation",
    "start_simulation",
    "sweep_simulations",
]
