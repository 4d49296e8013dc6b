"""The cores of the twin: one module each, found by its name.

A core is a module of this package, named as the configuration names it, with a class ``Built`` that
derives from ``base.Core``. So a further one is a new file, and the tests of the laws find it.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ml.cores.base import Core
from ml.errors import UnknownCore

__all__ = ["CORES", "Core", "built_core"]

CORES = tuple(sorted(found.name for found in iter_modules(__path__) if found.name != "base"))


def built_core(name: str, *, encoding: int, hidden: int, context: int) -> Core:
    """Return a new core with random weights.

    Raises:
        UnknownCore: there is none of that name.
    """
    if name not in CORES:
        raise UnknownCore(name=name, known=", ".join(CORES))
    core: Core = import_module(f"{__name__}.{name}").Built(encoding, hidden, context)
    return core
