"""``/metrics`` for Prometheus. Figures come from the database, so every process tells the same."""

from collections.abc import Callable, Iterable, Iterator

from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from campaigns.metrics import simulation_metrics
from customers.metrics import request_metrics
from events.metrics import intake_metrics
from twins.metrics import twin_metrics

REGISTRY = CollectorRegistry()
SOURCES: tuple[Callable[[], Iterable[Metric]], ...] = (
    intake_metrics,
    twin_metrics,
    simulation_metrics,
    request_metrics,
)


class DatabaseCollector(Collector):
    """Reads the figures when they are asked for."""

    def collect(self) -> Iterator[Metric]:
        for source in SOURCES:
            yield from source()

    def describe(self) -> list[Metric]:
        return []  # nothing is read at registration: the database may not be there yet


def register() -> None:
    """The collector is part of the registry, once."""
    if not REGISTRY._collector_to_names:
        REGISTRY.register(DatabaseCollector())


def metrics(request: HttpRequest) -> HttpResponse:
    """The figures in Prometheus' text format."""
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)
