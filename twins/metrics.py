"""Figures for Prometheus, read from the database."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric

from common.clock import now
from events.selectors import lagging_total
from twins.models import Twin
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
