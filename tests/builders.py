"""Moments that tests are built on."""

from datetime import UTC, datetime, timedelta

NOON = datetime(2011, 5, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
