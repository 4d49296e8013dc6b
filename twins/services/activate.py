"""Activating: one pointer says which model's twins are live."""

from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.urls import reverse

from common.outbox import announce
from events.services import set_advanced_from
from twins.errors import ModelAlreadyActive, ModelNotBetter, UnknownModelVersion
from twins.gate import objection
from twins.models import Activation, ModelVersion, Twin
from twins.pointer import hold_pointer

State = ModelVersion.State

# In the order in which appenders update their streams, so that the two never wait in a circle.
LOCK_STREAMS = "SELECT count(*) FROM (SELECT 1 FROM events_stream ORDER BY stream FOR UPDATE) AS s"


@transaction.atomic
def activate_model(*, model_id: UUID, at: datetime, reason: str = "") -> ModelVersion:
    """The model version is the active one, and the advancer goes on from where its twins stand.

    The first activation needs nothing. Later ones need a report no worse than the active version's
    on the same questions (``twins.gate``), or a reason, which is kept. Going back is the same call.

    Raises:
        UnknownModelVersion: there is none of that id.
        ModelAlreadyActive: it is active.
        ModelNotBetter: it is worse, or not comparable, and no reason is given.
    """
    hold_pointer()
    version = ModelVersion.objects.filter(id=model_id).first()
    if version is None:
        raise UnknownModelVersion(model_id=model_id)
    active = ModelVersion.objects.filter(state=State.ACTIVE).first()
    if active is not None:
        _require_better(version, active, reason)
        ModelVersion.objects.filter(id=active.id).update(state=State.RETIRED)
    version.state, version.activated_at = State.ACTIVE, at
    version.save(update_fields=["state", "activated_at"])
    Activation.objects.create(model_version=version, replaced=active, reason=reason, at=at)
    with connection.cursor() as cursor:
        cursor.execute(LOCK_STREAMS)
    twins = Twin.objects.filter(model_version=version)
    set_advanced_from(versions=dict(twins.values_list("pseudonym", "stream_version")))
    _announce(version, active, at)
    return version


def _announce(version: ModelVersion, replaced: ModelVersion | None, at: datetime) -> None:
    body = {
        "model_id": str(version.id),
        "name": version.name,
        "replaced": None if replaced is None else str(replaced.id),
        "links": {"model": reverse("model", args=[version.id])},
    }
    announce(type="model.activated", body=body, at=at)


def _require_better(version: ModelVersion, active: ModelVersion, reason: str) -> None:
    if version.id == active.id:
        raise ModelAlreadyActive(model_id=version.id)
    against = objection(version, active)
    if against and not reason.strip():
        raise ModelNotBetter(model_id=version.id, active_id=active.id, comparison=against)
