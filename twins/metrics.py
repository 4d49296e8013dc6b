"""Figures for Prometheus, read from the database."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.db.models import Count, Min, Sum
from prometheus_client.core import GaugeMetricFamily, Metric

from common.clock import now
from events.selectors import lagging_total
from twins.fidelity import RECENT_DAYS, drift_of, fidelity_by_day, total_of
from twins.models import ParkedStream, Twin
from twins.selectors import active_model_id, oldest_lag_seconds


def twin_metrics() -> Iterable[Metric]:
    """How many twins are live and how far they are behind."""
    active = active_model_id()
    live = Twin.objects.filter(model_version_id=active).count() if active else 0
    yield GaugeMetricFamily("dtoc_twins_total", "Twins under the active model.", value=live)
    yield GaugeMetricFamily(
        "dtoc_twin_lag_events", "Events that no live twin has folded yet.", value=lagging_total()
    )
    yield GaugeMetricFamily(
        "dtoc_twin_lag_seconds",
        "Age of the oldest event that no live twin has folded yet.",
        value=oldest_lag_seconds(at=now()),
    )
    yield from _set_aside(active)
    yield from _foreseen(active)


def _foreseen(active: UUID | None) -> Iterable[Metric]:
    """How well the last seven days were foreseen; nothing where nothing was scored."""
    today = now().date()
    since = today - timedelta(days=RECENT_DAYS - 1)
    days = fidelity_by_day(active, since=since, until=today).values() if active else ()
    week = total_of(days)
    yield GaugeMetricFamily(
        "dtoc_twin_foreseen_lines", "Purchase lines scored in seven days.", value=week.lines
    )
    drift = drift_of(active, at=now()) if active else None
    yield GaugeMetricFamily(
        "dtoc_twin_drift",
        "1 where the twins foresee worse than in the month before.",
        value=int(drift is not None and drift.alarming),
    )
    if not week.known:
        return
    yield GaugeMetricFamily(
        "dtoc_twin_top_10_share", "Lines whose item was among the ten likeliest.", value=week.top_10
    )
    nll = GaugeMetricFamily(
        "dtoc_twin_nll_nats", "Negative log-likelihood of the next item.", labels=["method"]
    )
    nll.add_metric(["twin"], week.mean_nll)
    nll.add_metric(["best sellers"], week.mean_popularity_nll)
    yield nll


def _set_aside(active: UUID | None) -> Iterable[Metric]:
    """What the advancer could not do, and left for a retry or for the night."""
    parked = GaugeMetricFamily(
        "dtoc_twin_streams_parked", "Streams whose fold fails, by error.", labels=["error"]
    )
    rows = ParkedStream.objects.filter(model_version_id=active)
    for error, count in rows.values_list("error").annotate(count=Count("id")).order_by("error"):
        parked.add_metric([error], count)
    yield parked
    waiting = Twin.objects.filter(model_version_id=active, waits_since__isnull=False)
    count, events, since = waiting.aggregate(
        count=Count("id"), events=Sum("waiting_events"), since=Min("waits_since")
    ).values()
    yield GaugeMetricFamily(
        "dtoc_twins_waiting", "Twins that wait for the nightly rebuild.", value=count
    )
    yield GaugeMetricFamily(
        "dtoc_twin_late_events_waiting", "Late events that it will fold in.", value=events or 0
    )
    yield GaugeMetricFamily(
        "dtoc_twins_waiting_seconds",
        "Since when the first of these twins has waited.",
        value=(now() - since).total_seconds() if since else 0,
    )
