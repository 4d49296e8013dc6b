"""Sparse tables of the market: one row per item, read by whole rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ml.events import Floats, Integers, ranges
from ml.mixture.lines import UNKNOWN

Singles = NDArray[np.float32]
Matrix = Any  # scipy publishes no types


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of non-negative numbers over the vocabulary; read-only.

    Shapes: V items, M numbers: ``starts`` (V + 1,), ``columns`` and ``values`` (M,), ascending in
    each row, ``totals`` (V,).
    """

    starts: Integers
    columns: NDArray[np.int32]
    values: Singles
    totals: Floats

    @staticmethod
    def of(matrix: Matrix) -> Table:
        """Return the table of a sparse matrix (V, V); its numbers become float32."""
        csr = sparse.csr_array(matrix)
        csr.sum_duplicates()  # sorts the columns too
        return Table.build(csr.indptr, csr.indices, csr.data.astype(np.float32))

    @staticmethod
    def build(starts: NDArray[Any], columns: NDArray[Any], values: Singles) -> Table:
        """Return the table of these three columns, which say everything."""
        starts = starts.astype(np.int64)
        items = len(starts) - 1
        rows = np.repeat(np.arange(items, dtype=np.int64), np.diff(starts))
        totals = np.bincount(rows, values, items).astype(np.float64, copy=False)
        return Table(starts, columns.astype(np.int32), values, totals)

    @property
    def items(self) -> int:
        """The size V of the vocabulary."""
        return len(self.totals)

    def gathered(self, rows: Integers) -> tuple[Integers, NDArray[np.int32], Singles]:
        """Return all numbers of the rows of these items (N,), one row after the other.

        For each number: which of the N it belongs to, its column, itself. An unknown item has none.
        """
        known = np.flatnonzero(rows != UNKNOWN)
        item = rows[known]
        first = self.starts[item]
        lengths = self.starts[item + 1] - first
        place = ranges(first, lengths)
        return np.repeat(known, lengths), self.columns[place], self.values[place]

    def total(self, row: Integers) -> Floats:
        """Return the sum of each of these rows; 0 where one is unknown."""
        return np.where(row == UNKNOWN, 0.0, self.totals[np.maximum(row, 0)])


def largest_of_each_row(matrix: Matrix, kept: int) -> Matrix:
    """Return the matrix with the ``kept`` largest numbers of each row; ties go to low columns."""
    csr = sparse.csr_array(matrix)
    csr.sum_duplicates()  # sorts the columns too
    chosen = np.ones(len(csr.data), dtype=np.bool_)
    for row in np.flatnonzero(np.diff(csr.indptr) > kept).tolist():
        part = slice(csr.indptr[row], csr.indptr[row + 1])
        chosen[part] = _largest(csr.data[part], kept)
    starts = np.concatenate(([0], np.cumsum(chosen)))[csr.indptr]
    return sparse.csr_array((csr.data[chosen], csr.indices[chosen], starts), shape=csr.shape)


def _largest(values: Floats, kept: int) -> NDArray[np.bool_]:
    least = np.partition(values, -kept)[-kept]
    chosen = values > least
    chosen[np.flatnonzero(values == least)[: kept - int(chosen.sum())]] = True
    return np.asarray(chosen)
