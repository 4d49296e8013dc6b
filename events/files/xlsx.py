"""XLSX: every sheet that has the columns, one after the other. A sheet is read as a whole."""

import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
from python_calamine import CalamineSheet, CalamineWorkbook

from events.files.chunks import Piece

PIECE_ROWS = 10_000
LARGEST_BYTES = 2 * 1024**3  # unpacked: a small file may unpack to more than any memory holds


class WorkbookTooLarge(ValueError):
    """A workbook that would not fit into memory; ends as a damaged file."""


class XlsxReader:
    """The first row of a sheet that is not empty is its header."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def header(self) -> list[str]:
        """Of the first sheet that has one; :meth:`headers` knows them all."""
        return next((header for header in self.headers() if header), [])

    def headers(self) -> list[list[str]]:
        """The header of each sheet, empty where the sheet is."""
        workbook = self._workbook()
        sheets = (workbook.get_sheet_by_name(name) for name in workbook.sheet_names)
        return [_header_of(sheet)[0] for sheet in sheets]

    def pieces(self, columns: list[str]) -> Iterator[Piece]:
        workbook = self._workbook()
        for name in workbook.sheet_names:
            header, rows = _header_of(workbook.get_sheet_by_name(name))
            if header and all(column in header for column in columns):
                yield from self._sheet(columns, header, rows)

    def _sheet(
        self, columns: list[str], header: list[str], rows: list[list[Any]]
    ) -> Iterator[Piece]:
        places = [header.index(name) for name in columns]
        for start in range(0, max(len(rows), 1), PIECE_ROWS):
            part = rows[start : start + PIECE_ROWS]
            cells = [[_text(row[place]) for row in part] for place in places]
            table = pa.table(
                {n: pa.array(c, pa.string()) for n, c in zip(columns, cells, strict=True)}
            )
            yield Piece(table, min(1.0, (start + len(part)) / max(len(rows), 1)))

    def _workbook(self) -> CalamineWorkbook:
        with zipfile.ZipFile(self.path) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size > LARGEST_BYTES:
            raise WorkbookTooLarge(f"it unpacks to {size} bytes, at most {LARGEST_BYTES} are read")
        return CalamineWorkbook.from_path(str(self.path))


def _header_of(sheet: CalamineSheet) -> tuple[list[str], list[list[Any]]]:
    """The header, and the rows below it that hold anything."""
    rows = [row for row in sheet.iter_rows() if any(cell != "" for cell in row)]
    if not rows:
        return [], []
    return [str(cell).strip() for cell in rows[0]], rows[1:]


def _text(cell: Any) -> str | None:
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):  # every number of a workbook is one
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else repr(cell)
    return str(cell) or None
