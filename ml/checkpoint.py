"""Where a training stands, on disk: what a process that was killed goes on from."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

FORMAT = 1  # raised where a stored progress means something else than before


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Everything that the epochs to come depend on, after so many that are over.

    ``optimiser`` holds the learning rate of the next epoch too; ``random`` are the states of all
    generators that a training draws from.
    """

    model: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    optimiser: Mapping[str, Any]
    random: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]


class Checkpoint:
    """One file. A training that is killed while it writes leaves the file before it whole.

    That there is only one writer at a time is for the caller to see to.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.beside = file, file.with_suffix(".part")

    def read(self) -> Progress | None:
        """Return what was written last; None where nothing was, or what is there is damaged."""
        try:
            found = torch.load(self.file, map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, ValueError, BadZipFile, pickle.UnpicklingError):
            return None
        if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
            return None
        return Progress(**found)

    def epochs(self) -> int:
        """Return how many epochs are over."""
        progress = self.read()
        return len(progress.history) if progress else 0

    def write(self, progress: Progress) -> None:
        """The progress is on disk when this returns, and survives a loss of power."""
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        stored = {name: getattr(progress, name) for name in Progress.__slots__}
        with self.beside.open("wb") as file:
            torch.save({"format": FORMAT, **stored}, file)
            file.flush()
            os.fsync(file.fileno())
        self.beside.chmod(0o600)
        self.beside.replace(self.file)
        folder = os.open(self.file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def part(self, name: str) -> Checkpoint:
        """Return the checkpoint of another search of the same training."""
        return Checkpoint(self.file.with_name(f"{self.file.stem}-{name}{self.file.suffix}"))

    def forget(self) -> None:
        """There is nothing to go on from any more, in the parts neither."""
        for ending in (self.file.suffix, self.beside.suffix):
            for file in self.file.parent.glob(f"{self.file.stem}*{ending}"):
                file.unlink(missing_ok=True)


def random_states(rng: np.random.Generator, device: torch.device) -> dict[str, Any]:
    """Return the states of torch's generators, on the CPU and the device, and of ``rng``."""
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": json.dumps(rng.bit_generator.state),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random(
    states: Mapping[str, Any], rng: np.random.Generator, device: torch.device
) -> None:
    """Set the generators to what ``random_states`` found."""
    torch.set_rng_state(states["torch"])
    rng.bit_generator.state = json.loads(states["numpy"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def copied(module: nn.Module) -> dict[str, Tensor]:
    """Return the module's weights as they are now, on the CPU."""
    return {name: t.detach().cpu().clone() for name, t in module.state_dict().items()}
