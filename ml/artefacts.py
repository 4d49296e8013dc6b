"""A model as files: weights, dictionaries, configuration and report, and their digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import safetensors.torch
import torch

from ml.basket.model import BasketModel
from ml.encoding import Dictionaries
from ml.errors import BrokenArtefact
from ml.mixture import files as mixture_files
from ml.rhythm.model import Rhythm
from ml.twin import TwinConfig, TwinModel

WEIGHTS, DICTIONARIES = "weights.safetensors", "dictionaries.json"
CONFIG, REPORT = "config.json", "report.json"
RHYTHM, BASKET = "rhythm.json", "basket.json"
NAMES = (CONFIG, DICTIONARIES, REPORT, RHYTHM, WEIGHTS)


def dump(model: TwinModel, report: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the model's files by name; equal models and reports give equal bytes."""
    mixture = {} if model.next_item is None else mixture_files.to_files(model.next_item)
    basket = {BASKET: _json(model.next_basket.as_dict())} if model.next_basket else {}
    weights = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    return {
        WEIGHTS: safetensors.torch.save(weights),
        DICTIONARIES: _json(asdict(model.dictionaries)),
        CONFIG: _json(asdict(model.config)),
        REPORT: _json(report),
        RHYTHM: _json(model.rhythm.as_dict()),
        **mixture,
        **basket,
    }


def load(files: Mapping[str, bytes]) -> TwinModel:
    """Return the model that was dumped, equal to the bit, ready to predict on the CPU.

    Raises:
        BrokenArtefact: a file is missing, is not what it should be or does not fit the others.
    """
    missing = [name for name in NAMES if name not in files]
    if missing:
        raise BrokenArtefact(reason=f"{', '.join(missing)} missing, expected {', '.join(NAMES)}")
    try:
        model = TwinModel(TwinConfig(**json.loads(files[CONFIG])), _dictionaries(files))
        model.load_state_dict(safetensors.torch.load(bytes(files[WEIGHTS])))
        model.rhythm = Rhythm.of(json.loads(files[RHYTHM]))
        if BASKET in files:
            model.next_basket = BasketModel.of(json.loads(files[BASKET]))
    except (ValueError, TypeError, KeyError, RuntimeError, safetensors.SafetensorError) as error:
        raise BrokenArtefact(reason=str(error).splitlines()[0]) from error
    if mixture_files.FRAME in files:
        model.adopt(mixture_files.from_files(files, model))
    return model.eval()


def report_of(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the evaluation report that lies beside the weights."""
    report: dict[str, Any] = json.loads(files[REPORT])
    return report


def digest(files: Mapping[str, bytes]) -> str:
    """Return one SHA-256 (hex) over names and contents, whatever the order of the files."""
    whole = sha256()
    for name in sorted(files):
        whole.update(f"{name}:{sha256(files[name]).hexdigest()}\n".encode())
    return whole.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of the libraries that shape the numbers."""
    return {"torch": torch.__version__, "safetensors": safetensors.__version__}


def _dictionaries(files: Mapping[str, bytes]) -> Dictionaries:
    stored = json.loads(files[DICTIONARIES])
    return Dictionaries(tuple(stored["items"]), tuple(stored["countries"]), int(stored["buckets"]))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False).encode()
