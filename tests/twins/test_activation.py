"""Activating: one pointer, moved for a reason, and twins that catch up."""

from datetime import datetime
from uuid import UUID

import pytest

from events.models import Event, Stream
from tests.builders import DAY, NOON
from tests.twins.builders import (
    active_model,
    advance_everything,
    customer,
    happen,
    orders,
    stored_model,
    twin,
)
from twins.artefacts import load_model
from twins.errors import (
    ModelAlreadyActive,
    ModelArtefactBroken,
    ModelNotBetter,
    UnknownModelVersion,
)
from twins.models import Activation, ModelVersion, Twin
from twins.selectors import (
    active_model_summary,
    lagging_shards,
    loaded_model,
    model_version_named,
    oldest_lag_seconds,
    twin_states,
)
from twins.services import activate_model, rebuild_states, rebuild_twins, verify_twins

pytestmark = pytest.mark.django_db


def rebuilt(version: ModelVersion) -> int:
    streams = 0
    for report in rebuild_twins(model_id=version.id, at=NOON):
        streams = report.streams
    return streams


def recorded_at(stream: UUID, version: int) -> datetime:
    return Event.objects.get(stream=stream, version=version).recorded_at


def states() -> dict[str, str]:
    return dict(ModelVersion.objects.values_list("name", "state"))


def test_the_first_activation_needs_nothing(db):
    version = stored_model()

    activate_model(model_id=version.id, at=NOON)

    assert active_model_summary() == f"{version.name} (sha256 {version.sha256[:12]})"
    assert ModelVersion.objects.get().activated_at == NOON


def test_a_model_no_worse_on_the_same_protocol_takes_over_and_the_old_one_retires(model):
    better = stored_model(seed=1, nll=5.9, name="better")

    activate_model(model_id=better.id, at=NOON + DAY)

    assert states() == {model.name: "retired", "better": "active"}
    moved = Activation.objects.latest("id")
    assert (moved.model_version, moved.replaced, moved.at) == (better, model, NOON + DAY)


@pytest.mark.parametrize(
    ("nll", "events", "why"),
    [(6.2, "e", "6.2000, more than 6.1000"), (5.0, "f", "on other events, another window")],
)
def test_a_worse_or_incomparable_model_needs_a_reason_which_is_kept(model, nll, events, why):
    other = stored_model(seed=1, nll=nll, events=events, name="other")

    with pytest.raises(ModelNotBetter, match=why):
        activate_model(model_id=other.id, at=NOON, reason="  ")
    assert states()["other"] == "trained"

    activate_model(model_id=other.id, at=NOON, reason="a year more of history")
    assert states()["other"] == "active"
    assert Activation.objects.latest("id").reason == "a year more of history"


def test_activating_the_active_model_or_an_unknown_one_is_refused(model):
    with pytest.raises(ModelAlreadyActive):
        activate_model(model_id=model.id, at=NOON)
    with pytest.raises(UnknownModelVersion):
        model_version_named("nothing of that name")


def test_the_advancer_catches_up_after_an_activation_and_after_going_back(model):
    someone = customer()
    happen(someone, *orders(4))
    advance_everything()
    second = stored_model(seed=1, nll=5.0)

    activate_model(model_id=second.id, at=NOON)
    assert Stream.objects.get().advanced_version == 0
    assert advance_everything() == 4
    happen(someone, *orders(1, prefix="NEW"), start=NOON + DAY)
    advance_everything()
    activate_model(model_id=model.id, at=NOON, reason="going back")
    assert Stream.objects.get().advanced_version == 4
    assert advance_everything() == 1

    assert twin(someone).model_version == model
    assert twin(someone).stream_version == 5
    (result,) = verify_twins([someone])
    assert result.differences == []


def test_twins_rebuilt_beside_the_live_ones_take_over_without_a_gap(model):
    people = [customer() for _ in range(3)]
    for someone in people:
        happen(someone, *orders(4))
    advance_everything()
    live = list(Twin.objects.filter(model_version=model).order_by("pseudonym").values())
    second = stored_model(seed=1, nll=5.0, name="second")

    assert rebuilt(second) == 3
    assert states()["second"] == "rebuilt"
    assert list(Twin.objects.filter(model_version=model).order_by("pseudonym").values()) == live
    activate_model(model_id=second.id, at=NOON)

    assert lagging_shards() == set()
    assert twin(people[0]).fold_mode == Twin.FoldMode.REBUILT
    for result in verify_twins(people):
        assert (result.twins, result.differences) == (3, [])


def test_a_rebuild_that_is_started_again_folds_only_what_is_new(model):
    someone = customer()
    happen(someone, *orders(4))
    second = stored_model(seed=1)
    rebuilt(second)
    happen(someone, *orders(2, prefix="NEW"), start=NOON + DAY)

    (report,) = rebuild_twins(model_id=second.id, at=NOON)

    assert report.events == 2
    assert Twin.objects.get(model_version=second).stream_version == 6


def test_states_for_others_come_in_one_table_and_equal_the_rebuilt_ones(model):
    known, missing = sorted([customer(), customer()]), customer()
    for someone in known:
        happen(someone, *orders(5))
    advance_everything()

    stored, versions = twin_states([*known, missing])
    again, seen = rebuild_states([*known, missing])

    assert versions == seen == dict.fromkeys(known, 5)
    assert stored.memory(0) == again.memory(0)
    assert abs(stored.h - again.h).max() < 1e-5


def test_a_model_version_refuses_to_be_changed(model):
    with pytest.raises(Exception, match="immutable"):
        ModelVersion.objects.update(seed=9)


def test_files_that_are_not_those_that_were_stored_are_refused(db, model_storage):
    version = active_model()
    weights = model_storage / version.prefix / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    load_model.cache_clear()

    with pytest.raises(ModelArtefactBroken, match="SHA-256"):
        loaded_model(version)

    weights.unlink()
    with pytest.raises(ModelArtefactBroken):
        loaded_model(version.id)


def test_a_model_is_loaded_once_per_process(model):
    assert loaded_model(model) is loaded_model(model.id)


def test_the_lag_is_the_age_of_the_oldest_unseen_event(model):
    early, late = customer(), customer()
    happen(early, *orders(2))
    happen(late, *orders(2))
    first, second = (recorded_at(early, 1), recorded_at(late, 1))
    assert oldest_lag_seconds(at=first + DAY) == 86_400

    Stream.objects.filter(stream=early).update(advanced_version=2)
    assert oldest_lag_seconds(at=second + DAY) == 86_400
    advance_everything()
    assert oldest_lag_seconds(at=second + DAY) == 0
    happen(early, *orders(1, prefix="NEW"))
    assert oldest_lag_seconds(at=recorded_at(early, 3) + 2 * DAY) == 2 * 86_400


def test_without_an_active_model_nothing_lags(db):
    happen(customer(), *orders(2))

    assert oldest_lag_seconds(at=NOON + DAY) == 0
    assert active_model_summary() is None
