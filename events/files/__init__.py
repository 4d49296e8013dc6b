"""Reading files of rows in chunks: CSV, NDJSON, Parquet, XLSX; the first two also gzipped.

Every format ends in the same chunks. Where a chunk ends depends on the rows alone, so that an
import which was killed meets the same chunks again. A row that cannot be read as a row stands
apart, with its text. Memory stays bounded, except for XLSX: a sheet is unpacked as a whole.
"""

from events.files.chunks import Broken, Chunk
from events.files.rows import SUFFIXES, RowFile, columns_of, format_of, open_rows

__all__ = ["SUFFIXES", "Broken", "Chunk", "RowFile", "columns_of", "format_of", "open_rows"]
