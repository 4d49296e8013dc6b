"""Who the customers are: parameters that the events never show."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ml.shop.config import ShopConfig
from ml.shop.draws import Floats, Integers, Purpose, normal, uniform
from ml.shop.market import DIMENSIONS

COUNTRIES = ("GB", "DE", "FR", "IE")
COUNTRY_ENDS = np.array([0.85, 0.91, 0.96, 1.0])
PRESENT_AT_START = 0.6
JOINING_DAYS = 300
WHOLESALE_SHARE = 0.08
RATE_SIGMA = 0.5
BASKET_SIGMA = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Agents:
    """The known truth about every customer, row i for customer ``crm_id(i)``.

    ``joined_day`` is the first day of a possible order, ``dropout_day`` the last moment of one;
    both count from the shop's first day. Shapes: N customers; ``taste`` (N, K), all else (N,).
    """

    orders_per_day: Floats  # while a customer, at demand factor 1, without an offer
    elasticity: Floats
    joined_day: Integers
    dropout_day: Floats
    country: Integers  # index into COUNTRIES
    extra_lines: Floats  # mean of the lines of an order beyond the first, without promotions
    wholesale: NDArray[np.bool_]
    taste: Floats

    def __len__(self) -> int:
        return len(self.elasticity)


def crm_id(customer: int) -> str:
    """Return the name under which the shop knows a customer, such as C000123 for number 123."""
    return f"C{customer:06d}"


@lru_cache(maxsize=4)
def ground_truth(config: ShopConfig) -> Agents:
    """Return the agents; each depends on the seed and on its own number only."""
    seed, rows = config.seed, np.arange(config.customers)
    country = uniform(seed, rows, 0, Purpose.COUNTRY)
    return Agents(
        orders_per_day=_rates(config, rows),
        elasticity=_elasticities(config, rows),
        joined_day=_joined_days(seed, rows),
        dropout_day=_dropout_days(config, rows),
        country=np.searchsorted(COUNTRY_ENDS, country),
        extra_lines=_extra_lines(config, rows),
        wholesale=uniform(seed, rows, 0, Purpose.WHOLESALE) < WHOLESALE_SHARE,
        taste=_tastes(seed, len(rows)),
    )


def _rates(config: ShopConfig, rows: Integers) -> Floats:
    """Log-normal times gamma of shape 2, each with mean 1, times the configured rate."""
    z = normal(config.seed, rows, 0, Purpose.RATE_NORMAL)
    u = [uniform(config.seed, rows, step, Purpose.RATE_GAMMA) for step in (0, 1)]
    gamma = -(np.log(u[0]) + np.log(u[1])) / 2
    spread = np.exp(RATE_SIGMA * z - RATE_SIGMA**2 / 2)
    return np.asarray(config.orders_per_year / 365 * spread * gamma)


def _elasticities(config: ShopConfig, rows: Integers) -> Floats:
    """Log-normal with the configured mean and standard deviation."""
    mean, sd = config.elasticity_mean, config.elasticity_sd
    if mean == 0:
        return np.zeros(len(rows))
    sigma = np.sqrt(np.log1p((sd / mean) ** 2))
    z = normal(config.seed, rows, 0, Purpose.ELASTICITY)
    return np.asarray(mean * np.exp(sigma * z - sigma**2 / 2))


def _joined_days(seed: int, rows: Integers) -> Integers:
    u = uniform(seed, rows, 0, Purpose.JOINED)
    late = (u - PRESENT_AT_START) / (1 - PRESENT_AT_START)
    return np.where(u < PRESENT_AT_START, 0, np.floor(late * JOINING_DAYS)).astype(np.int64)


def _dropout_days(config: ShopConfig, rows: Integers) -> Floats:
    """Exponential after joining."""
    u = uniform(config.seed, rows, 0, Purpose.DROPOUT)
    return _joined_days(config.seed, rows) - config.dropout_mean_days * np.log(u)


def _extra_lines(config: ShopConfig, rows: Integers) -> Floats:
    z = normal(config.seed, rows, 0, Purpose.BASKET)
    spread = np.exp(BASKET_SIGMA * z - BASKET_SIGMA**2 / 2)
    return np.asarray((config.lines_per_order - 1) * spread)


def _tastes(seed: int, customers: int) -> Floats:
    rows = np.repeat(np.arange(customers), DIMENSIONS)
    steps = np.tile(np.arange(DIMENSIONS), customers)
    return normal(seed, rows, steps, Purpose.TASTE).reshape(customers, DIMENSIONS)
