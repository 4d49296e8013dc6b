"""Server URLs from the environment, in the forms that Django and Celery want."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

SCHEMES = ("postgresql", "postgres")


def database_settings(url: str | None) -> dict[str, Any]:
    """Django's settings for ``postgresql://user:password@host:port/name?option=value``.

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
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", None) or parts.hostname or "",
        "PORT": str(parts.port or options.pop("port", "")),
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


def broker_url(redis_url: str) -> str:
    """Celery calls Redis behind a Unix socket ``redis+socket``; other URLs stay as they are."""
    if redis_url.startswith("unix://"):
        return "redis+socket://" + redis_url.removeprefix("unix://")
    return redis_url


def path_from(variable: str, default: Path) -> Path:
    """The path in an environment variable, or ``default``."""
    return Path(os.environ.get(variable) or default)
