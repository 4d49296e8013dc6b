"""``python -m ml.shop``: write a synthetic shop to a Parquet file."""

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from ml.shop.config import ShopConfig
from ml.shop.errors import BadShop, UnwritableShop
from ml.shop.write import write_parquet, write_truth


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the shop and return 0; return 2 after saying what is wrong."""
    options = _parser().parse_args(arguments)
    try:
        config = _config(options)
        _write(config, options)
    except (BadShop, UnwritableShop) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - this is a command
        return 2
    return 0


def _write(config: ShopConfig, options: argparse.Namespace) -> None:
    started = time.monotonic()

    def tell(rows: int, reached_ms: int) -> None:
        day = datetime.fromtimestamp(reached_ms / 1000, UTC).date()
        done = (day - config.start).days + 1
        took = time.monotonic() - started
        print(  # noqa: T201 - this is a command
            f"\r{done:>5} of {config.days} days, {rows:,} events, {rows / took:,.0f} events/s",
            end="",
            file=sys.stderr,
            flush=True,
        )

    rows = write_parquet(config, options.out, on_progress=tell)
    if options.truth:
        write_truth(config, options.truth)
    took = time.monotonic() - started
    print(f"\r{rows:,} events of {config.customers:,} customers in {took:.1f} s: {options.out}")  # noqa: T201


def _config(options: argparse.Namespace) -> ShopConfig:
    return ShopConfig(
        customers=options.customers,
        days=options.days,
        seed=options.seed,
        items=options.items,
        start=options.start,
        wave_every_days=0 if options.no_offers else 56,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ml.shop",
        description="Write the events of a synthetic shop, whose truth is known, to Parquet.",
    )
    parser.add_argument("out", type=Path, metavar="OUT.parquet", help="file to write")
    parser.add_argument("--customers", type=int, default=2_000, help="how many (default 2000)")
    parser.add_argument("--days", type=int, default=365, help="how long (default 365)")
    parser.add_argument("--seed", type=int, default=7, help="equal seeds, equal shops (default 7)")
    parser.add_argument("--items", type=int, default=300, help="SKUs for sale (default 300)")
    parser.add_argument(
        "--start", type=date.fromisoformat, default=date(2010, 1, 4), help="first day (2010-01-04)"
    )
    parser.add_argument("--no-offers", action="store_true", help="never make an offer")
    parser.add_argument("--truth", type=Path, help="also write the customers' parameters here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
