"""Figures about simulations for Prometheus."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from campaigns.selectors import run_totals
from common.models import Operation


def simulation_metrics() -> Iterator[Metric]:
    """Runs by status, customers simulated, and order lines drawn in all arms and replicates."""
    totals = run_totals()
    runs = GaugeMetricFamily("dtoc_simulation_runs", "Simulations by status", labels=["status"])
    for status in Operation.Status.values:
        runs.add_metric([status], totals["by_status"].get(status, 0))
    yield runs
    yield CounterMetricFamily(
        "dtoc_simulation_customers", "Customers of finished chunks", value=totals["customers"]
    )
    yield CounterMetricFamily(
        "dtoc_simulation_twin_steps",
        "Simulated order lines of succeeded simulations, each one step of a twin",
        value=totals["steps"],
    )
