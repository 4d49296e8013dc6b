"""Advancing every twin from its first event, against the same SELECT and the bare model."""

import time
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

from benchmarks.ground import shop_file
from benchmarks.result import Result, compare
from dtoc_project.supervisor import ROOT

CUSTOMERS = 1_000
ONLINE_RETAIL = ROOT.parent / "shared" / "data" / "online_retail.parquet"


def run(folder: Path, rounds: int) -> Result:
    """Events per second through claim, fold, forecast, heads and snapshots in one transaction.

    Of Online Retail where the public data sets lie beside the checkout, else of a synthetic shop.
    """
    if ONLINE_RETAIL.exists():
        learned(ONLINE_RETAIL, "online_retail")
    else:
        prepare(folder, CUSTOMERS)
    bare = _bare()
    _advanced()
    return compare(
        name="advance",
        unit="events/s",
        limit_is="the same SELECT, the same tensors through the bare model",
        rounds=rounds,
        path=_advanced,
        limit=bare,
    )


def prepare(folder: Path, customers: int) -> None:
    """A synthetic shop is imported and a hardly trained, full-size model of it is active."""
    learned(shop_file(folder, customers), "synthetic_shop")


def learned(file: Path, mapping: str) -> None:
    """The same of any file."""
    from common.clock import now
    from events.mapping import load_mapping
    from events.services.importing import import_file
    from twins.services import TrainingOptions, activate_model, train_model

    import_file(path=file, mapping=load_mapping(mapping), at=now())
    version = train_model(TrainingOptions(epochs=1), at=now(), on_epoch=lambda report: None)
    activate_model(model_id=version.id, at=now(), reason="benchmark")


def _advanced() -> float:
    from common.clock import now
    from twins.services import advance_all

    forget_twins()
    begun = time.perf_counter()
    *_, report = advance_all(clock=repeat(now()))
    return report.events / (time.perf_counter() - begun)


def forget_twins() -> None:
    """Every stream lags with all its events."""
    from django.db import connection

    from events.services import set_advanced_from
    from twins.models import Twin

    Twin.objects.all().delete()
    set_advanced_from(versions={})
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE twins_twinsnapshot")  # a trigger refuses to delete its rows
        cursor.execute("VACUUM ANALYZE events_stream, twins_twin, twins_twinsnapshot")


def _bare() -> Callable[[], float]:
    """A function that reads all events and runs their prepared tensors through the LSTM."""
    from django.db import connection

    from events.selectors import streams
    from twins.encoding import event_table, fold_order
    from twins.folding import whole_histories
    from twins.selectors import active_model, loaded_model

    model = loaded_model(active_model())
    heads = streams(None, 10**6)
    histories = whole_histories(head.stream for head in heads)
    table = event_table([fold_order(events, clock_ms=0) for events in histories.values()])
    states = model.initial_state([""] * len(histories))
    total = sum(len(events) for events in histories.values())

    def limit() -> float:
        begun = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT stream, version, event_id, type, schema_version, occurred_at, data::text "
                "FROM events_event ORDER BY stream, version"
            )
            cursor.fetchall()
        model.advance(states, table)
        return total / (time.perf_counter() - begun)

    return limit
