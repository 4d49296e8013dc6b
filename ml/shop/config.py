"""What can be chosen about a synthetic shop."""

from dataclasses import dataclass
from datetime import date

from ml.shop.errors import BadShop

CATEGORIES = 12
CURRENCY = "GBP"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopConfig:
    """A shop of any size; equal configurations give equal shops, to the bit.

    The first customers of a larger shop are the customers of a smaller one, and a longer shop
    begins with the days of a shorter one, as long as everything else is equal.
    Shares are 0 to 1. ``wave_every_days`` 0 means that no offer is ever made.
    """

    customers: int
    days: int
    seed: int
    items: int = 300
    start: date = date(2010, 1, 4)
    orders_per_year: float = 11.0  # of a customer who stays all year, before season and offers
    lines_per_order: float = 5.5
    elasticity_mean: float = 1.8
    elasticity_sd: float = 0.5
    dropout_mean_days: float = 600.0
    promotion_share: float = 0.15  # of the weeks of an item that is ever promoted
    wave_every_days: int = 56
    offer_days: int = 14
    wave_share: float = 0.5  # of the customers who have joined; half of them are treated
    return_share: float = 0.02  # of the lines

    def __post_init__(self) -> None:
        for field, low, high in LIMITS:
            value = getattr(self, field)
            if not low <= value <= high:
                raise BadShop(field=field, value=value, expected=f"{low} to {high}")
        if self.wave_every_days and self.offer_days >= self.wave_every_days:
            raise BadShop(
                field="offer_days",
                value=self.offer_days,
                expected=f"fewer than wave_every_days ({self.wave_every_days})",
            )


# The upper limits keep every address of a random number inside its 32 bits, and a day's arrays
# inside memory.
LIMITS: tuple[tuple[str, float, float], ...] = (
    ("customers", 1, 10_000_000),
    ("days", 1, 36_500),
    ("seed", 0, 2**63 - 1),
    ("items", CATEGORIES, 9_999),
    ("orders_per_year", 0.1, 200.0),
    ("lines_per_order", 1.0, 40.0),
    ("elasticity_mean", 0.0, 10.0),
    ("elasticity_sd", 0.0, 10.0),
    ("dropout_mean_days", 1.0, 1e9),
    ("promotion_share", 0.0, 1.0),
    ("wave_every_days", 0, 36_500),
    ("offer_days", 1, 36_500),
    ("wave_share", 0.0, 1.0),
    ("return_share", 0.0, 1.0),
)
