"""Processes that start at the same moment, as the clients of a server do."""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Race:
    """From the word "go" until the last process was done, and what each step of each took."""

    seconds: float
    latencies_ms: list[float]


def race(commands: Sequence[Sequence[str]]) -> Race:
    """Each command says that it is ready, hears "go", and prints a number for each of its steps.

    Raises:
        RuntimeError: one of them failed; what it said stands on standard error.
    """
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    runners: list[Any] = [subprocess.Popen(command, **pipes) for command in commands]  # noqa: S603
    for runner in runners:
        runner.stdout.readline()
    begun = time.perf_counter()
    for runner in runners:
        runner.stdin.write("go\n")
        runner.stdin.flush()
    told = [runner.communicate()[0] for runner in runners]
    seconds = time.perf_counter() - begun
    if any(runner.returncode for runner in runners):
        raise RuntimeError("a client of the benchmark failed")
    return Race(seconds, [float(line) for text in told for line in text.split()])
