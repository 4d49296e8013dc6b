"""Links from a customer's admin page to pages of the apps above, which register them here."""

from collections.abc import Callable
from uuid import UUID

UrlOf = Callable[[UUID], str]

_links: dict[str, UrlOf] = {}


def register_link(label: str, url_of: UrlOf) -> None:
    """A customer's admin page shows a link named ``label`` to ``url_of(pseudonym)``."""
    _links[label] = url_of


def links_of(pseudonym: UUID) -> list[tuple[str, str]]:
    """Labels and addresses of all registered links, in the order of registration."""
    return [(label, url_of(pseudonym)) for label, url_of in _links.items()]
