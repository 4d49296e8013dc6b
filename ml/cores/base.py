"""What every core promises: a fold of encoded events into two arrays per customer."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Core(nn.Module, ABC):
    """Fold encoded events into the states of many twins at once.

    A state is ``h``, which the heads read, and ``c``, which only the core reads: everything else
    that it has to know of the past. Both are float32 between any two calls, so that they can be
    stored as bytes, copied and taken back to an earlier moment.

    Shapes: B customers, E encoding, H hidden, S numbers carried in ``c``.
    """

    def __init__(self, encoding: int, hidden: int, context: int) -> None:
        """``context`` is how many events a core that looks back may see; others pass it over."""
        super().__init__()
        self.encoding, self.hidden, self.context = encoding, hidden, context

    @property
    @abstractmethod
    def carried(self) -> int:
        """S: the length of ``c``."""

    def begin(self, profile: Tensor) -> Tensor:
        """Return the ``c`` (B, S) of customers without events from their profiles (B, H)."""
        return profile

    @abstractmethod
    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``h`` (B, H) and ``c`` (B, S) after one event ``x`` (B, E) each."""

    @abstractmethod
    def run(
        self, flat: Tensor, steps: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return every state and the last ``h`` and ``c`` of sequences without padding.

        ``flat`` (N, E) holds the first events of all customers, then the second ones, and so on;
        ``steps`` (T,) on the CPU says how many customers have a t-th event, so customers come
        longest first and each has at least one. The states (N, H) are in the order of ``flat``.
        Gradients flow from the states to the events and to ``h`` and ``c``.
        """

    @abstractmethod
    def fold(self, flat: Tensor, steps: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last ``h`` and ``c`` as ``run`` does, whatever batch a customer was in.

        Sums in single precision depend on the shape of the batch; over thousands of events such
        differences grow. So a fold computes in double precision and rounds what it carries to
        single precision at every event: what batches change is then far below what rounding keeps.
        """

    @abstractmethod
    def step_in_double(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return what ``fold`` does with one event ``x`` (B, E) each."""
