"""The one small network that all shops of a coverage test share."""

from __future__ import annotations

from functools import lru_cache

from ml.shop.config import ShopConfig
from ml.shop.coverage_history import history_of
from ml.timing import DAY_MS
from ml.training import TrainingConfig, train
from ml.twin import TwinConfig, TwinModel

SEED = 2**40  # of a shop that is none of the runs
VALIDATION_DAYS = 28


@lru_cache(maxsize=2)
def network(items: int) -> TwinModel:
    """Return a twin model learned for two epochs from a shop of its own.

    It says which items an order holds and how its value is spread over lines. How many orders
    there are, who buys and what an order is worth come from the rhythm, which every run replaces
    by that of its own shop.
    """
    config = ShopConfig(customers=200, days=168, seed=SEED, items=items)
    history = history_of(config)
    sizes = TwinConfig(item_dim=8, target_dim=4, kind_dim=2, country_dim=2, hidden=16)
    training = TrainingConfig(
        model=sizes, epochs=2, device="cpu", mixture=None, bootstrap_draws=2,
        validation_customers=50,
    )  # fmt: skip
    return train(
        history.events, history.countries, training, cut_off_ms=history.end_ms,
        validation_from_ms=history.end_ms - VALIDATION_DAYS * DAY_MS,
    ).model  # fmt: skip
