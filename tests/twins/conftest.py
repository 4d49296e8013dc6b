"""A place for model files, one model, and Redis without traces of other tests."""

from pathlib import Path

import pytest

from tests.twins.builders import active_model
from twins.artefacts import load_model
from twins.models import ModelVersion
from twins.nudges import begin_shard


@pytest.fixture(autouse=True)
def fresh_surroundings(model_storage: Path) -> None:
    load_model.cache_clear()
    for shard in range(16):
        begin_shard(shard)


@pytest.fixture
def model(db: None) -> ModelVersion:
    return active_model()
