"""Customers that tests are built on."""

from uuid import UUID, uuid4

from customers.identities import Newcomer
from customers.services import register_customers
from tests.builders import NOON


def somebody(kind: str = "email", country: str = "GB") -> Newcomer:
    """Somebody whom no other test knows, by a value that occurs nowhere else."""
    return Newcomer(kind=kind, value=f"nobody-{uuid4().hex}@example.org", country=country)


def register(newcomer: Newcomer) -> UUID:
    return register_customers(newcomers=[newcomer], at=NOON)[newcomer.key]
