"""The database wrapper that Django loads for ``ENGINE = "dtoc_project.postgresql"``."""

import select

from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper


class DatabaseWrapper(PostgresWrapper):
    """A connection that is kept between requests is looked at, not asked, before it is used again.

    Django would send ``SELECT 1`` for each request, a tenth of what storing an event costs. A
    server that ended a session has said so or has hung up, and either makes the socket readable; a
    session at rest has nothing to read. A server that fell silent is found out by neither way
    until it should answer.
    """

    def is_usable(self) -> bool:
        if self.connection is None or self.connection.closed:
            return False
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
        except (OSError, ValueError):
            return False
        return not readable
