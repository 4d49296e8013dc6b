"""Is the process alive, and can it do its work?"""

import json
from collections.abc import Callable
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

from common.clock import now
from events.selectors import feed_is_current
from twins.selectors import active_model_summary, oldest_lag_seconds

LONGEST_LAG_SECONDS = 30.0


def livez(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return JsonResponse({"status": "alive"})


def readyz(request: HttpRequest) -> HttpResponse:
    """Database, Redis, migrations and twins are as they should be; 503 names what is not."""
    checks = {name: _outcome(check) for name, check in CHECKS.items()}
    ready = all(check["ok"] for check in checks.values())
    body = {"status": "ready" if ready else "not ready", "checks": checks}
    return HttpResponse(
        json.dumps(body), status=200 if ready else 503, content_type="application/json"
    )


def _outcome(check: Callable[[], tuple[bool, str]]) -> dict[str, Any]:
    try:
        ok, detail = check()
    except (DatabaseError, redis.RedisError, OSError) as error:
        ok, detail = False, f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return {"ok": ok, "detail": detail}


def _database() -> tuple[bool, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True, "answers"


def _redis() -> tuple[bool, str]:
    with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2) as client:
        client.ping()
    return True, "answers"


def _migrations() -> tuple[bool, str]:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        return False, f"{len(missing)} not applied: run `manage.py migrate`"
    return True, "all applied"


def _feed() -> tuple[bool, str]:
    if feed_is_current():
        return True, "the epoch belongs to this database"
    return False, "the database was restored or moved: run `manage.py raise_feed_epoch`"


def _model() -> tuple[bool, str]:
    active = active_model_summary()
    if active is None:
        return True, "no active model yet: run `manage.py train_twin`"
    return True, active


def _twins() -> tuple[bool, str]:
    if active_model_summary() is None:
        return True, "nothing advances before a model is active"
    lag = oldest_lag_seconds(at=now())
    detail = f"the oldest event that no twin has seen is {lag:.0f} s old"
    return lag <= LONGEST_LAG_SECONDS, detail


CHECKS: dict[str, Callable[[], tuple[bool, str]]] = {
    "database": _database,
    "redis": _redis,
    "migrations": _migrations,
    "feed": _feed,
    "model": _model,
    "twins": _twins,
}
