"""What a chunk hands in: integer sums over its customers, as JSON."""

import base64
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
STORED = np.dtype("<i8")
MEASURES = ("buyers", "orders", "lines", "units", "revenue_cents", "discount_cents")


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over customers. Shapes: A arms (0 is the control), R replicates, D days.

    ``measures`` (A, R) by name, ``by_day`` (A, R, D) revenue in cents.
    """

    customers: int
    measures: dict[str, Integers]
    by_day: Integers

    def as_json(self) -> dict[str, Any]:
        """The sums as a chunk's result."""
        measures = {name: values.tolist() for name, values in self.measures.items()}
        packed = zlib.compress(self.by_day.astype(STORED).tobytes(), level=6)
        return {
            "customers": self.customers,
            "measures": measures,
            "by_day": {
                "shape": list(self.by_day.shape),
                "int64_zlib_base64": base64.b64encode(packed).decode(),
            },
        }

    @staticmethod
    def from_json(result: dict[str, Any]) -> "Sums":
        """The sums that ``as_json`` wrote."""
        packed = base64.b64decode(result["by_day"]["int64_zlib_base64"])
        flat = np.frombuffer(zlib.decompress(packed), dtype=STORED).astype(np.int64)
        return Sums(
            customers=result["customers"],
            measures={
                name: np.asarray(values, np.int64) for name, values in result["measures"].items()
            },
            by_day=flat.reshape(result["by_day"]["shape"]),
        )


def total(parts: Iterable[Sums]) -> Sums:
    """The sums over the customers of all parts; integers, so the order does not matter."""
    first, *others = parts
    for part in others:
        first = Sums(
            customers=first.customers + part.customers,
            measures={name: first.measures[name] + part.measures[name] for name in MEASURES},
            by_day=first.by_day + part.by_day,
        )
    return first
