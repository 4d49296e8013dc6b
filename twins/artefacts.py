"""The files of model versions in the storage of models. Imports torch: never from a web process."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

import torch
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from ml import artefacts
from ml.errors import BrokenArtefact
from ml.twin import TwinModel
from twins.errors import ModelArtefactBroken, UnknownModelVersion
from twins.models import ModelVersion


def store_model(model: TwinModel, report: Mapping[str, Any]) -> str:
    """The model lies in the storage, in a folder named by its SHA-256, which is returned.

    Storing it again changes nothing.
    """
    files = artefacts.dump(model, report)
    sha256 = artefacts.digest(files)
    storage = storages["models"]
    for name, content in files.items():
        path = f"{sha256}/{name}"
        if not storage.exists(path):
            storage.save(path, ContentFile(content))
    return sha256


@lru_cache(maxsize=2)
def load_model(model_id: UUID) -> TwinModel:
    """The model, ready to predict, on the device of this process; loaded once per process.

    Raises:
        UnknownModelVersion: there is none of that id.
        ModelArtefactBroken: a file is missing or is not the one that was stored.
    """
    version = ModelVersion.objects.filter(id=model_id).first()
    if version is None:
        raise UnknownModelVersion(model_id=model_id)
    try:
        names = storages["models"].listdir(version.prefix)[1]
        files = {name: _read(f"{version.prefix}/{name}") for name in names}
        found = artefacts.digest(files)
        if found != version.sha256:
            raise BrokenArtefact(reason=f"their SHA-256 is {found}, expected {version.sha256}")
        return artefacts.load(files).to(device_of(settings.DTOC_DEVICE))
    except (OSError, BrokenArtefact) as error:
        raise ModelArtefactBroken(model_id=model_id, prefix=version.prefix, reason=error) from error


def device_of(named: str | None) -> str:
    """The device to compute on: the named one, else a GPU where there is one."""
    return named or ("cuda" if torch.cuda.is_available() else "cpu")


def _read(path: str) -> bytes:
    with storages["models"].open(path) as file:
        content: bytes = file.read()
        return content
