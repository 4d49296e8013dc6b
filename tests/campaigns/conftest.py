from pathlib import Path
from uuid import UUID

import pytest

from campaigns import plan
from tests.campaigns.builders import active_version, customers, with_twins
from tests.campaigns.decisions import agrees
from twins.models import ModelVersion


@pytest.fixture
def version(db: None, model_storage: Path) -> ModelVersion:
    return active_version()


@pytest.fixture
def shop(version: ModelVersion) -> list[UUID]:
    """Twelve customers with twins."""
    return with_twins(version, customers(12))


@pytest.fixture
def agreeing(shop: list[UUID]) -> list[UUID]:
    """The same customers, who have all agreed to marketing."""
    agrees(*shop)
    return shop


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulations that begin in this test have chunks of four customers (3 arms, 4 replicates)."""
    monkeypatch.setattr(plan, "FEWEST_CHUNKS", 1)
    monkeypatch.setattr(plan, "CHUNK_ROWS", 4 * 3 * 4)


@pytest.fixture
def committed_shop(transactional_db: None, model_storage: Path, small_chunks: None) -> list[UUID]:
    """The same shop, committed, so that other connections and processes see it."""
    return with_twins(active_version(), customers(12))
