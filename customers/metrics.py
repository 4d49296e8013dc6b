"""What Prometheus reads about data-subject requests."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from customers.selectors import open_requests_by_right


def request_metrics() -> Iterator[Metric]:
    """How many requests are open, by right; 0 where there is none."""
    family = GaugeMetricFamily(
        "dtoc_requests_open", "Data-subject requests that are not completed.", labels=["right"]
    )
    for right, count in open_requests_by_right().items():
        family.add_metric([right], count)
    yield family
