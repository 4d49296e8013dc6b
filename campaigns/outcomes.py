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
MEASURES = (
    "buyers", "orders", "lines", "units", "revenue_cents", "discount_cents", "margin_cents",
)  # fmt: skip
PACKED = ("by_day", "margin_by_day", "by_segment")


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over customers. Shapes: A arms (0 is the control), R replicates, D days, S segments.

    ``segments`` (S,) customers in each; ``measures`` (A, R) by name; ``by_day`` and
    ``margin_by_day`` (A, R, D) in cents; ``by_segment`` (S, measures, A, R).
    """

    segments: Integers
    measures: dict[str, Integers]
    by_day: Integers
    margin_by_day: Integers
    by_segment: Integers

    @property
    def customers(self) -> int:
        return int(self.segments.sum())

    def as_json(self) -> dict[str, Any]:
        """The sums as a chunk's result."""
        measures = {name: values.tolist() for name, values in self.measures.items()}
        packed = {name: _packed(getattr(self, name)) for name in PACKED}
        return {"segments": self.segments.tolist(), "measures": measures, **packed}

    @staticmethod
    def from_json(result: dict[str, Any]) -> "Sums":
        """The sums that ``as_json`` wrote."""
        return Sums(
            segments=np.asarray(result["segments"], np.int64),
            measures={
                name: np.asarray(values, np.int64) for name, values in result["measures"].items()
            },
            **{name: _unpacked(result[name]) for name in PACKED},
        )


def total(parts: Iterable[Sums]) -> Sums:
    """The sums over the customers of all parts; integers, so the order does not matter."""
    first, *others = parts
    for part in others:
        first = Sums(
            segments=first.segments + part.segments,
            measures={name: first.measures[name] + part.measures[name] for name in MEASURES},
            **{name: getattr(first, name) + getattr(part, name) for name in PACKED},
        )
    return first


def _packed(values: Integers) -> dict[str, Any]:
    packed = zlib.compress(values.astype(STORED).tobytes(), level=6)
    return {"shape": list(values.shape), "int64_zlib_base64": base64.b64encode(packed).decode()}


def _unpacked(stored: dict[str, Any]) -> Integers:
    packed = base64.b64decode(stored["int64_zlib_base64"])
    flat = np.frombuffer(zlib.decompress(packed), dtype=STORED).astype(np.int64)
    return flat.reshape(stored["shape"])
