"""Private PostgreSQL and Redis servers, for machines where nobody has set any up.

Where ``DTOC_DATABASE_URL`` or ``DTOC_REDIS_URL`` is unset, :func:`start` runs the missing server
under ``DTOC_HOME`` (``.dtoc/`` beside ``manage.py``) and sets the variable for this process and its
children. Both listen on Unix sockets only, in folders that nobody else may enter: two clones side
by side cannot collide on a port, and nothing is reachable from the network.

Several processes share one pair of servers. Each holds a shared lock on ``DTOC_HOME/in-use.lock``
while it lives; the one that finds itself alone at its exit stops the servers. The kernel drops the
lock of a killed process, so a crash leaves no count to repair.
"""

from dtoc_project.embedded.errors import EmbeddedServerError
from dtoc_project.embedded.lease import home, start, stop

__all__ = ["EmbeddedServerError", "home", "start", "stop"]
