"""Ids that are derived rather than drawn, and the version of the running code."""

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from uuid import UUID, uuid5

NAMESPACE = UUID("7c1f2b1e-50a3-5c7f-9f0f-2b6d1f0c8a55")


def derived_id(*parts: str) -> UUID:
    """The same UUID for the same parts, on every machine (UUIDv5 in DToC's namespace)."""
    # The unit separator keeps ("ab", "c") and ("a", "bc") apart.
    return uuid5(NAMESPACE, "\x1f".join(parts))


@cache
def code_version() -> str:
    """The package version, with the git commit where the code runs from a checkout."""
    try:
        package = version("dtoc")
    except PackageNotFoundError:
        package = "0.1.0"
    root = Path(__file__).resolve().parents[1]
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5)  # noqa: S603
    except OSError:
        return package
    return f"{package}+{done.stdout.strip()}" if done.returncode == 0 else package
