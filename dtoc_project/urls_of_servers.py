"""Server URLs from the environment, in the forms that Django and Celery want."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

SCHEMES = ("postgresql", "postgres")
IDLE_SECONDS = 60
# Whoever talks to a server that is gone learns it within some ten seconds: while connecting, and
# by the network's own means while waiting for an answer. A URL may say otherwise.
ENDING_WAITS = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


def database_settings(
    url: str | None, *, idle_in_transaction_seconds: int = IDLE_SECONDS
) -> dict[str, Any]:
    """Django's settings for ``postgresql://user:password@host:port/name?option=value``.

    Sessions have the guard of :func:`_session`; 0 seconds leave it to the server's configuration.
    Without a URL they name a local server: tools such as mypy load the settings and start nothing.

    Raises:
        ImproperlyConfigured: the URL is not one of PostgreSQL.
    """
    parts = urlsplit(url or "postgresql:///dtoc")
    if parts.scheme not in SCHEMES or not parts.path.strip("/"):
        raise ImproperlyConfigured(
            f"DTOC_DATABASE_URL starts with {parts.scheme!r}: expected "
            "postgresql://user:password@host:5432/name"
        )
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    options = {**ENDING_WAITS, **_session(idle_in_transaction_seconds), **asked}
    return {
        "ENGINE": "dtoc_project.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", None) or parts.hostname or "",
        "PORT": str(parts.port or options.pop("port", "")),
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


def _session(idle_in_transaction_seconds: int) -> dict[str, str]:
    """The server ends a session that leaves its transaction open and says nothing for so long.

    Such a transaction holds back the feed for everybody, and whoever wants a lock of it. There is
    no ``lock_timeout``: the holder of a lock either works, and waiting is right, or has been
    forgotten, and then this guard ends it. There is no ``statement_timeout``: imports, scans and
    exports for training rightly take minutes, and none of them is idle.
    """
    if not idle_in_transaction_seconds:
        return {}
    milliseconds = idle_in_transaction_seconds * 1000
    return {"options": f"-c idle_in_transaction_session_timeout={milliseconds}"}


def broker_url(redis_url: str) -> str:
    """Celery calls Redis behind a Unix socket ``redis+socket``; other URLs stay as they are."""
    if redis_url.startswith("unix://"):
        return "redis+socket://" + redis_url.removeprefix("unix://")
    return redis_url


def path_from(variable: str, default: Path) -> Path:
    """The path in an environment variable, or ``default``."""
    return Path(os.environ.get(variable) or default)
