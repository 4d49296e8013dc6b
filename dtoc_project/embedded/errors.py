"""EmbeddedServerError: the private PostgreSQL or Redis cannot run; the message says what to do."""


class EmbeddedServerError(Exception):
    """A private server could not be started, reached or stopped."""
