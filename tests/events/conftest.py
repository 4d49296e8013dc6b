from uuid import UUID, uuid4

import pytest

from customers.identities import Newcomer
from customers.services import register_customers
from tests.builders import NOON


@pytest.fixture
def committed(transactional_db: None) -> None:
    """The test may commit, in as many connections as it likes; its events go at the end."""


@pytest.fixture
def customer(db: None) -> UUID:
    """A registered customer, whose stream therefore is at version 1."""
    somebody = Newcomer(kind="crm_id", value=f"known-{uuid4().hex}", country="GB")
    return register_customers(newcomers=[somebody], at=NOON)[somebody.key]
