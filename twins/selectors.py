"""Reading twins and models. Importing this loads no torch; ``loaded_model`` does when called."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models import Q, QuerySet

from events.models import Event
from events.services import SHARDS
from ml.states import TwinStates
from twins.encoding import FOLDED_TYPES
from twins.errors import NoActiveModel, TwinNotAdvanced, UnknownModelVersion
from twins.models import Activation, ModelVersion, ParkedStream, Twin, TwinSnapshot

if TYPE_CHECKING:
    from ml.twin import TwinModel

State = ModelVersion.State

PARKED = """(
    SELECT FROM twins_parkedstream AS p
    JOIN twins_modelversion AS m ON m.id = p.model_version_id AND m.state = 'active'
    WHERE p.pseudonym = s.stream
)"""
LAGGING_SHARDS = f"""
SELECT shard FROM generate_series(0, %s - 1) AS shard WHERE EXISTS (
    SELECT FROM events_stream AS s
    WHERE s.shard = shard.shard AND s.version > s.advanced_version AND NOT EXISTS {PARKED}
)
"""  # noqa: S608 - a constant
# The first unseen event of a stream is its oldest unseen one. Looking at a bounded number of
# streams keeps a health check quick while a whole history is being folded.
OLDEST_LAG = f"""
SELECT min(e.recorded_at) FROM (
    SELECT stream, advanced_version FROM events_stream AS s
    WHERE version > advanced_version AND (%s OR NOT EXISTS {PARKED}) LIMIT 10000
) AS s
JOIN events_event AS e ON e.stream = s.stream AND e.version = s.advanced_version + 1
"""  # noqa: S608 - a constant
LIVE_COLUMNS = (
    "id", "stream_version", "clock_at", "h", "c", "items", "fold_mode", "snapshot_version",
    "updated_at", "waits_since", "waiting_events",
)  # fmt: skip
LIVE = f"""
SELECT m.id, m.name, m.sha256, s.version, t.memory::text, t.forecast::text,
    {", ".join(f"t.{column}" for column in LIVE_COLUMNS)}
FROM twins_twin AS t
JOIN twins_modelversion AS m ON m.id = t.model_version_id AND m.state = 'active'
JOIN events_stream AS s ON s.stream = t.pseudonym
JOIN customers_customer AS c ON c.pseudonym = t.pseudonym AND c.status <> 'erased'
WHERE t.pseudonym = %s
"""  # noqa: S608 - constants of this module
# Single streams that cannot be folded do not make the service unready; so many are no single ones.
MANY_PARKED = 100


@dataclass(frozen=True, slots=True)
class LiveTwin:
    """A twin with the name of its model, and the last version of its stream."""

    twin: Twin
    stream_version: int


def active_model() -> ModelVersion:
    """The model version whose twins are live.

    Raises:
        NoActiveModel: none was ever activated.
    """
    version = find_active_model()
    if version is None:
        raise NoActiveModel()
    return version


def find_active_model() -> ModelVersion | None:
    """The same, or None."""
    return ModelVersion.objects.filter(state=State.ACTIVE).first()


def active_model_id() -> UUID | None:
    """The id of the active model version, or None."""
    return ModelVersion.objects.filter(state=State.ACTIVE).values_list("id", flat=True).first()


def active_model_summary() -> str | None:
    """Name and digest of the active model version in one line, or None."""
    active = ModelVersion.objects.filter(state=State.ACTIVE)
    row = active.values_list("name", "sha256").first()
    return f"{row[0]} (sha256 {row[1][:12]})" if row else None


def model_version_by_id(model_id: UUID) -> ModelVersion:
    """One model version.

    Raises:
        UnknownModelVersion: there is none of that id.
    """
    version = ModelVersion.objects.filter(id=model_id).first()
    if version is None:
        raise UnknownModelVersion(model_id=model_id)
    return version


def model_version_named(name: str) -> ModelVersion:
    """One model version by its id, its name, or the first characters of its SHA-256.

    ``active`` and ``challenger`` are names as well.

    Raises:
        UnknownModelVersion: none, or more than one, is meant.
    """
    if name in ALIASES and (found_id := ALIASES[name]()):
        return model_version_by_id(found_id)
    try:
        return model_version_by_id(UUID(name))
    except ValueError:
        pass
    for wanted in ({"name": name}, {"sha256__startswith": name.lower()}):
        found = ModelVersion.objects.filter(**wanted)[:2]
        if len(found) == 1:
            return found[0]
    raise UnknownModelVersion(model_id=name)


def model_versions() -> QuerySet[ModelVersion]:
    """All model versions, the newest first."""
    return ModelVersion.objects.order_by("-created_at", "-id")


def challenger_id() -> UUID | None:
    """The newest model version that could be activated next, or None."""
    waiting = ModelVersion.objects.filter(state__in=[State.TRAINED, State.REBUILT])
    return waiting.order_by("-created_at").values_list("id", flat=True).first()


ALIASES = {"active": active_model_id, "challenger": challenger_id}


def activations_of(version: ModelVersion) -> QuerySet[Activation]:
    """When this version became the active one, and what it replaced and why, oldest first."""
    moved = Activation.objects.filter(model_version=version).select_related("replaced")
    return moved.order_by("at", "id")


def loaded_model(version: ModelVersion | UUID) -> TwinModel:
    """The model itself on this process's device; loaded once per process.

    Raises:
        UnknownModelVersion, ModelArtefactBroken
    """
    from twins.artefacts import load_model  # torch: a web process never gets here

    return load_model(version.id if isinstance(version, ModelVersion) else version)


@lru_cache(maxsize=16)
def model_reference(model_id: UUID) -> ModelVersion:
    """What a twin says of its model version, id, name and digest, which never change.

    Raises:
        ModelVersion.DoesNotExist: there is none of that id.
    """
    return ModelVersion.objects.only("id", "name", "sha256").get(id=model_id)


def live_twin(pseudonym: UUID) -> LiveTwin | None:
    """The customer's twin under the active model; None also for somebody who is being erased."""
    with connection.cursor() as cursor:
        cursor.execute(LIVE, [pseudonym])
        row = cursor.fetchone()
    if row is None:
        return None
    *model, stream_version, memory, forecast = row[:6]
    columns = row[6:]
    twin = Twin(
        pseudonym=pseudonym,
        # What is not read here is loaded where somebody asks the version for it.
        model_version=ModelVersion.from_db(connection.alias, ("id", "name", "sha256"), model),
        memory=msgspec.json.decode(memory),
        forecast=msgspec.json.decode(forecast),
        **dict(zip(LIVE_COLUMNS, columns, strict=True)),
    )
    return LiveTwin(twin, stream_version)


def live_twin_of(pseudonym: UUID) -> LiveTwin:
    """The same.

    Raises:
        NoActiveModel: there is no active model.
        TwinNotAdvanced: the advancer has not come to this customer.
    """
    live = live_twin(pseudonym)
    if live is None:
        active_model()
        raise TwinNotAdvanced(pseudonym=pseudonym)
    return live


def twin_of(pseudonym: UUID) -> Twin:
    """The same without its stream; raises as that does."""
    return live_twin_of(pseudonym).twin


def twin_states(pseudonyms: Iterable[UUID]) -> tuple[TwinStates, dict[UUID, int]]:
    """The states of these customers' live twins, and their stream versions.

    Row b of the states belongs to the b-th key; customers without a twin are left out.
    """
    live = Twin.objects.filter(model_version__state=State.ACTIVE, pseudonym__in=list(pseudonyms))
    rows = list(
        live.order_by("pseudonym").values_list("pseudonym", "stream_version", "h", "c", "memory")
    )
    states = TwinStates.from_bytes(
        [row[2] for row in rows], [row[3] for row in rows], [row[4] for row in rows]
    )
    return states, {row[0]: row[1] for row in rows}


def versions_of(twin: Twin) -> QuerySet[Event]:
    """The events that the twin has seen; one is one version of it."""
    return Event.objects.filter(stream=twin.pseudonym, version__lte=twin.stream_version)


def folded_versions_of(twin: Twin) -> QuerySet[Event]:
    """Those of the events that can have changed the twin, as ``encoding.is_folded`` says it."""
    folded = versions_of(twin).filter(type__in=FOLDED_TYPES)
    marked = Q(metadata__contains={"technical": True}) | Q(metadata__contains={"outlier": True})
    return folded.exclude(marked)


def versions_between(twin: Twin, first: int, last: int) -> QuerySet[Event]:
    """The same from one version to another, the newest first."""
    return versions_of(twin).filter(version__range=(first, last)).order_by("-version")


def snapshots_of(pseudonym: UUID) -> QuerySet[TwinSnapshot]:
    """The customer's snapshots under all models, the newest first."""
    return TwinSnapshot.objects.filter(pseudonym=pseudonym).order_by("-taken_at", "-id")


def parked_streams(model_id: UUID) -> list[UUID]:
    """The streams that the advancer passes over under this model version."""
    rows = ParkedStream.objects.filter(model_version_id=model_id)
    return list(rows.values_list("pseudonym", flat=True))


def waiting_twins(model_id: UUID, after: UUID | None, limit: int) -> list[UUID]:
    """At most ``limit`` customers whose twins wait for the nightly rebuild, in their ids' order."""
    rows = Twin.objects.filter(model_version_id=model_id, waits_since__isnull=False)
    if after is not None:
        rows = rows.filter(pseudonym__gt=after)
    return list(rows.order_by("pseudonym").values_list("pseudonym", flat=True)[:limit])


def lagging_shards() -> set[int]:
    """The shards in which a stream, not parked, has events that its live twin has not seen."""
    with connection.cursor() as cursor:
        cursor.execute(LAGGING_SHARDS, [SHARDS])
        return {shard for (shard,) in cursor.fetchall()}


def events_total() -> int:
    """How many events all streams hold: what a rebuild has before it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(version), 0) FROM events_stream")
        return int(cursor.fetchone()[0])


def oldest_lag_seconds(*, at: datetime) -> float:
    """The age of the oldest recorded event that no live twin has folded; 0 where there is none.

    While more than 10,000 streams lag it is a lower bound. Without an active model it is 0. Parked
    streams do not count, unless there are more than a hundred of them.
    """
    model_id = active_model_id()
    if model_id is None:
        return 0.0
    parked = ParkedStream.objects.filter(model_version_id=model_id)[: MANY_PARKED + 1].count()
    with connection.cursor() as cursor:
        cursor.execute(OLDEST_LAG, [parked > MANY_PARKED])
        (oldest,) = cursor.fetchone()
    return max((at - oldest).total_seconds(), 0.0) if oldest else 0.0
