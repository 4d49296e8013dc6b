"""What Prometheus reads about the intake and the store."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from events.selectors import feed_gap_age_seconds, intake_counts

NAMES = {
    "received": ("dtoc_events_received", "Events that were sent."),
    "accepted": ("dtoc_events_accepted", "Events that were stored."),
    "duplicate": ("dtoc_events_duplicate", "Events that were stored already."),
    "quarantined": ("dtoc_events_quarantined", "Events that were put into quarantine."),
    "refused": ("dtoc_events_refused", "Events of which nothing was stored but this count."),
}


def intake_metrics() -> Iterator[Metric]:
    """Received is the sum of the others for every source, at any moment."""
    families = {
        outcome: CounterMetricFamily(name, text, labels=["source", "reason"])
        for outcome, (name, text) in NAMES.items()
    }
    for (source, outcome, reason), count in sorted(intake_counts().items()):
        families[outcome].add_metric([source, reason], count)
    yield from families.values()
    yield GaugeMetricFamily(
        "dtoc_feed_gap_age_seconds",
        "Age of the oldest running transaction; the feed cannot go past it.",
        value=feed_gap_age_seconds(),
    )
