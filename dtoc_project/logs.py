"""Logging: constant messages, facts beside them; readable text, or JSON for a log collector."""

import logging
from typing import Any

PLAIN = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "data"}


class FactsFormatter(logging.Formatter):
    """``12:00:01 INFO twins.services twins advanced shard=3 advanced=17``."""

    def format(self, record: logging.LogRecord) -> str:
        facts = {name: value for name, value in record.__dict__.items() if name not in PLAIN}
        simple = {k: v for k, v in facts.items() if isinstance(v, str | int | float | bool)}
        return " ".join([super().format(record), *(f"{k}={v}" for k, v in simple.items())])


def logging_configuration(style: str) -> dict[str, Any]:
    """Django's LOGGING: everything to standard error, as ``text`` or ``json``."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {
                "()": FactsFormatter,
                "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
                "datefmt": "%H:%M:%S",
            },
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
            },
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": style}},
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            # Celery repeats each task's whole arguments and result: ours log what matters.
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
            "django.server": {"level": "WARNING"},
        },
    }
