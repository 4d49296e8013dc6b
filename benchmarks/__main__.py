"""``python -m benchmarks NAME [--rounds N] [--json FILE]``"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    advancing,
    deciding,
    feeding,
    growing,
    importing,
    ingesting,
    latency,
    simulating,
    training,
)
from benchmarks.ground import ground
from benchmarks.result import Result, write_json
from dtoc_project.embedded import EmbeddedServerError

BENCHMARKS: dict[str, Callable[[Path, int], Result | list[Result]]] = {
    "import": importing.run,
    "ingest": ingesting.run,
    "feed": feeding.run,
    "advance": advancing.run,
    "growth": growing.run,
    "latency": latency.run,
    "decide": deciding.run,
    "simulate": simulating.run,
    "train": training.run,
}


def main() -> int:
    options = _parser().parse_args()
    names = list(BENCHMARKS) if options.name == "all" else [options.name]
    results = []
    try:
        for name in names:
            for result in _run(name, options.rounds):
                results.append(result)
                print(result, flush=True)
    except EmbeddedServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.json:
        write_json(results, options.json)
    return 0


def _run(name: str, rounds: int) -> list[Result]:
    """Each benchmark has servers of its own, so that none meets what another left."""
    with ground() as folder:
        try:
            found = BENCHMARKS[name](folder, rounds)
            return found if isinstance(found, list) else [found]
        finally:
            from django.db import connections

            connections.close_all()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure a path and the raw limit of this machine in the same run.",
    )
    parser.add_argument("name", choices=[*BENCHMARKS, "all"])
    parser.add_argument("--rounds", type=int, default=5, help="medians are over these (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
