"""The checkpoints of trainings: files of this machine, one per training, held by one process."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from twins.errors import TrainingInProgress

if TYPE_CHECKING:
    from ml.checkpoint import Checkpoint

KEPT_SECONDS = 30 * 24 * 3600  # what nobody went on with by then, nobody will


def training_key(facts: Mapping[str, Any]) -> str:
    """One SHA-256 (hex) over everything that a training depends on."""
    return sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


@contextmanager
def held_checkpoint(key: str, *, from_start: bool) -> Iterator[Checkpoint]:
    """The checkpoint of the training of that key; gone once the block has ended without an error.

    ``from_start``: what an interrupted training left is thrown away first.

    Raises:
        TrainingInProgress: another process on this machine is at the same training.
    """
    from ml.checkpoint import Checkpoint  # torch: only here, so that the web can import us

    folder = Path(settings.DTOC_HOME) / "training"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(folder)
    lock = folder / f"{key}.lock"
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # falls with its process
        except BlockingIOError as error:
            raise TrainingInProgress(key=key[:12]) from error
        checkpoint = Checkpoint(folder / f"{key}.pt")
        try:
            if from_start:
                checkpoint.forget()
            yield checkpoint
            checkpoint.forget()
        finally:
            lock.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    oldest = time.time() - KEPT_SECONDS
    for file in folder.iterdir():
        if file.stat().st_mtime < oldest:
            file.unlink(missing_ok=True)
