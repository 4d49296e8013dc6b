from collections.abc import Iterator

import pytest

from tests.events.conftest import customer as customer
from tests.faults.ground import Cluster, cluster


@pytest.fixture
def committed(transactional_db: None) -> None:
    """The test may commit, in as many connections as it likes; its events go at the end."""


@pytest.fixture
def other_cluster() -> Iterator[Cluster]:
    with cluster("other") as found:
        yield found
