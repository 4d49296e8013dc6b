"""A synthetic shop: customers that decide for themselves, and a truth that is known.

The equations, their default values and their limits are in ``docs/synthetic-shop.md``.

- ``config``: what can be chosen; ``errors``: what cannot
- ``draws``: random numbers by address; ``market``: items, prices, calendar; ``agents``: customers
- ``offers``: who got which offer when; ``day``: what all customers do on one day
- ``events``: the shop as event columns; ``write``: as a Parquet file
- ``truth``: what is true of the agents, and the true uplift of an offer
- ``coverage``: forecasts beside the truth, one shop a run; ``coverage_history``: what a forecast
  may know, ``coverage_network``, ``coverage_waves``: a rule of thumb, ``coverage_runs``,
  ``coverage_report``
"""

from ml.shop.agents import Agents, ground_truth
from ml.shop.config import ShopConfig
from ml.shop.events import event_chunks
from ml.shop.truth import Uplift, true_uplift
from ml.shop.write import write_parquet

__all__ = [
    "Agents",
    "ShopConfig",
    "Uplift",
    "event_chunks",
    "ground_truth",
    "true_uplift",
    "write_parquet",
]
