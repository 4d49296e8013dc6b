"""Runs with the response ``elasticity`` get their estimate, once."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from django.db import transaction

from campaigns.models import SimulationRun
from common.canonical_json import sha256_hex
from events.selectors import all_events_columns, treated_windows

if TYPE_CHECKING:
    from ml.response import ElasticityEstimate

BEYOND_MS = 2**42  # later than any event (the year 2109); leaves room for two million customers


def with_estimate(run: SimulationRun) -> SimulationRun:
    """The run, its manifest holding the estimate where its response needs one.

    The first worker estimates while the others wait for the row; all then go on with one estimate,
    which the manifest keeps with its standard error.

    Raises:
        NoPriceVariation: the stored purchases cannot show an elasticity.
    """
    if run.manifest["response"]["kind"] != "elasticity" or "estimate" in run.manifest["response"]:
        return run
    with transaction.atomic():
        locked = SimulationRun.objects.select_for_update().get(id=run.id)
        if "estimate" not in locked.manifest["response"]:
            estimate = asdict(estimate_before(run))
            locked.manifest = {
                **locked.manifest,
                "response": {**run.response, "estimate": estimate},
            }
            locked.manifest_sha256 = sha256_hex(locked.manifest)
            locked.save(update_fields=["manifest", "manifest_sha256"])
    run.manifest, run.manifest_sha256 = locked.manifest, locked.manifest_sha256
    return run


def estimate_before(run: SimulationRun) -> "ElasticityEstimate":
    """The price elasticity that all purchase lines up to the run's moment show together."""
    from ml.response import estimate_elasticity  # torch

    columns = all_events_columns(until=run.as_of, types=["item_purchased"])
    return estimate_elasticity(
        sku=columns["sku"].astype(np.object_),
        occurred_at_ms=columns["occurred_at_ms"],
        quantity=columns["quantity"],
        unit_price=columns["unit_price"],
        offer_depth=_under_offer(columns, treated_windows(run.as_of)).astype(np.float64),
    )


def _under_offer(
    columns: dict[str, Any], windows: list[tuple[UUID, int, int]]
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
