"""Is a TCP port free?"""

import socket


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on ``port`` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def first_free(port: int, host: str = "127.0.0.1", tries: int = 50) -> int | None:
    """The first free port from ``port`` on; None where the next fifty are taken."""
    return next((p for p in range(port, port + tries) if is_free(p, host)), None)
