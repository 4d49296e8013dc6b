"""The shop as a Parquet file."""

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ml.shop.agents import COUNTRIES, crm_id, ground_truth
from ml.shop.config import ShopConfig
from ml.shop.errors import UnwritableShop
from ml.shop.events import SCHEMA, event_chunks


def write_parquet(
    config: ShopConfig, path: Path, *, on_progress: Callable[[int, int], None] | None = None
) -> int:
    """Write all events to one file and return how many; the file appears complete or not at all.

    ``on_progress`` is told the rows so far and the time in milliseconds that they reach up to.

    Raises:
        UnwritableShop: the file cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    rows = 0
    try:
        with pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer:
            for chunk in event_chunks(config):
                writer.write_table(chunk)
                rows += len(chunk)
                if on_progress:
                    on_progress(rows, chunk["occurred_at"][-1].value)
        os.replace(partial, path)
    except OSError as error:
        raise UnwritableShop(path=path, reason=error.strerror or str(error)) from error
    finally:
        partial.unlink(missing_ok=True)
    return rows


def write_truth(config: ShopConfig, path: Path) -> None:
    """Write one row for each customer with the parameters that the events never show.

    Raises:
        UnwritableShop: the file cannot be written.
    """
    agents = ground_truth(config)
    table = pa.table(
        {
            "customer": [crm_id(i) for i in range(len(agents))],
            "orders_per_day": agents.orders_per_day,
            "elasticity": agents.elasticity,
            "joined_day": agents.joined_day,
            "dropout_day": agents.dropout_day,
            "country": [COUNTRIES[i] for i in agents.country],
            "extra_lines": agents.extra_lines,
            "wholesale": agents.wholesale,
        }
    )
    try:
        pq.write_table(table, path, compression="zstd")
    except OSError as error:
        raise UnwritableShop(path=path, reason=error.strerror or str(error)) from error
