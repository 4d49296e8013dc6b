"""Runs whose response rests on data get their estimate, once."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import UUID

import numpy as np
from django.db import transaction

from campaigns.models import SimulationRun
from campaigns.population import version_by_id
from common.canonical_json import sha256_hex
from events.selectors import Columns, all_events_columns, treated_windows

BEYOND_MS = 2**42  # later than any event (the year 2109); leaves room for two million customers


def with_estimate(run: SimulationRun) -> SimulationRun:
    """The run, its manifest holding the estimate where its response needs one.

    The first worker estimates while the others wait for the row; all then go on with one estimate,
    which the manifest keeps with its standard errors.

    Raises:
        NoPriceVariation: the stored purchases cannot show an elasticity.
        NoOffersToLearnFrom: no past offer shows what offers do.
    """
    estimated = ESTIMATES.get(run.manifest["response"]["kind"])
    if estimated is None or "estimate" in run.manifest["response"]:
        return run
    with transaction.atomic():
        locked = SimulationRun.objects.select_for_update().get(id=run.id)
        if "estimate" not in locked.manifest["response"]:
            locked.manifest = {
                **locked.manifest,
                "response": {**run.response, "estimate": estimated(run)},
            }
            locked.manifest_sha256 = sha256_hex(locked.manifest)
            locked.save(update_fields=["manifest", "manifest_sha256"])
    run.manifest, run.manifest_sha256 = locked.manifest, locked.manifest_sha256
    return run


def elasticity_before(run: SimulationRun) -> dict[str, Any]:
    """The price elasticity that all purchase lines up to the run's moment show together."""
    from ml.response import estimate_elasticity  # torch

    columns = _purchases(run)
    estimate = estimate_elasticity(
        sku=columns["sku"].astype(np.object_),
        occurred_at_ms=columns["occurred_at_ms"],
        quantity=columns["quantity"],
        unit_price=columns["unit_price"],
        offer_depth=_under_offer(columns, treated_windows(run.as_of)).astype(np.float64),
    )
    return asdict(estimate)


def learned_before(run: SimulationRun) -> dict[str, Any]:
    """What the offers that had closed by the run's moment did, those of settled launches included.

    What was to be expected of each customer is what the run's own model expects.
    """
    from campaigns.trials import trials_before  # torch, as the following
    from ml.response import learn_response
    from twins.encoding import training_table
    from twins.selectors import loaded_model

    columns = _purchases(run)
    rows = {pseudonym: row for row, pseudonym in enumerate(columns["pseudonyms"])}
    rhythm = loaded_model(version_by_id(run.model_version)).rhythm
    return learn_response(training_table(columns), trials_before(run.as_of, rows), rhythm).as_dict()


ESTIMATES: dict[str, Callable[[SimulationRun], dict[str, Any]]] = {
    "elasticity": elasticity_before,
    "learned": learned_before,
}


def _purchases(run: SimulationRun) -> Columns:
    return all_events_columns(until=run.as_of, types=["item_purchased"])


def _under_offer(
    columns: Columns, windows: list[tuple[UUID, int, int]]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which lines were bought under a personal offer: their price moved for that customer alone.

    Lines come sorted by customer and time, so each window is one stretch of them.
    """
    rows = {pseudonym: row for row, pseudonym in enumerate(columns["pseudonyms"])}
    known = [(rows[who], start, end) for who, start, end in windows if who in rows]
    keys = columns["customer"].astype(np.int64) * BEYOND_MS + columns["occurred_at_ms"]
    opened = np.zeros(len(keys) + 1, np.int64)
    for edge, step in ((1, 1), (2, -1)):
        at = [window[0] * BEYOND_MS + window[edge] for window in known]
        np.add.at(opened, np.searchsorted(keys, at), step)
    return np.cumsum(opened[:-1]) > 0
