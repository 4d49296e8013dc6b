"""Training: from stored events to an immutable, described, reproducible model version."""

import random
from datetime import timedelta
from io import StringIO
from uuid import UUID

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from events.selectors import all_events_columns
from ml import artefacts
from tests.builders import DAY, HOUR, NOON
from tests.twins.builders import (
    SKUS,
    advance_everything,
    customer,
    happen,
    purchase,
    registered,
    returned,
    viewed,
)
from twins import tasks
from twins.encoding import FOLDED_TYPES, event_table, fold_order, training_table
from twins.errors import InvalidTrainingWindow, TooLittleHistory
from twins.folding import whole_histories
from twins.models import ModelVersion, Twin
from twins.selectors import active_model, loaded_model
from twins.services import TrainingOptions, train_model

pytestmark = pytest.mark.django_db
START = NOON - 100 * DAY


def a_shop(customers: int = 12, orders: int = 10) -> list[UUID]:
    """Customers who order three lines about every ten days, registered when they are imported."""
    people, dice = [customer("GB") for _ in range(customers)], random.Random(1)
    for someone in people:
        happen(someone, registered(), start=NOON + 3_000 * DAY)
        moment = START + dice.random() * DAY
        for order in range(orders):
            skus = dice.sample(SKUS, 3)
            lines = [purchase(f"O{order}", line, sku) for line, sku in enumerate(skus)]
            happen(someone, *lines, start=moment, step=timedelta(0))
            moment += (8 + 4 * dice.random()) * DAY
    happen(people[0], returned("O1"), start=moment + HOUR)
    happen(people[0], purchase("POST", 9, "POST"), start=moment, metadata={"technical": True})
    happen(people[1], purchase("ODD", 9), start=moment, metadata={"outlier": True})
    happen(people[2], viewed(), start=moment)
    return people


def test_the_command_trains_reports_and_activates_and_twins_follow(model_storage):
    people = a_shop()
    out = StringIO()

    call_command("train_twin", epochs=2, seed=3, activate=True, stdout=out, stderr=StringIO())

    version = active_model()
    text = out.getvalue()
    assert "epoch  1/2" in text
    assert "Markov + popularity" in text
    assert f"{version.name} is active" in text
    assert version.events_count == 12 * 31 + 1
    assert version.seed == 3
    assert version.libraries.keys() >= {"python", "numpy", "torch"}
    assert version.next_item_nll is not None
    assert version.validation_from == version.cut_off - 30 * DAY
    advance_everything()
    assert Twin.objects.filter(pseudonym__in=people, model_version=version).count() == 12


def test_a_model_version_is_the_files_whose_digest_it_carries(model_storage):
    a_shop()

    version = train_model(TrainingOptions(epochs=1), at=NOON)

    folder = model_storage / version.prefix
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert artefacts.digest(files) == version.sha256
    version.refresh_from_db()
    assert artefacts.report_of(files) == version.report
    assert loaded_model(version).config.hidden > 0


def test_the_cut_off_is_just_after_the_last_purchase_however_late_registrations_are_dated():
    people = a_shop()
    happen(people[0], purchase("LAST"), start=NOON + DAY)
    happen(customer(), registered(), start=NOON + 3_000 * DAY)

    version = train_model(TrainingOptions(epochs=1), at=NOON)

    assert version.cut_off == NOON + DAY + timedelta(milliseconds=1)


def test_nothing_at_or_after_the_cut_off_is_learned_from():
    people = a_shop()
    options = TrainingOptions(epochs=1, cut_off=NOON - 20 * DAY, seed=5)
    before = train_model(options, at=NOON)

    happen(people[0], purchase("FUTURE", sku="NEVER-SEEN"), start=NOON - 20 * DAY)
    after = train_model(options, at=NOON)

    assert after.events_sha256 == before.events_sha256
    first, second = (loaded_model(version) for version in (before, after))
    assert first.dictionaries == second.dictionaries
    for name, weights in first.state_dict().items():
        assert np.array_equal(weights.numpy(), second.state_dict()[name].numpy()), name


def test_one_more_event_is_another_digest_of_the_training_events():
    people = a_shop()
    before = train_model(TrainingOptions(epochs=1, cut_off=NOON), at=NOON)

    happen(people[0], purchase("MORE"), start=NOON - DAY)
    after = train_model(TrainingOptions(epochs=1, cut_off=NOON), at=NOON)

    assert after.events_count == before.events_count + 1
    assert after.events_sha256 != before.events_sha256


def test_what_a_model_learns_from_is_what_a_twin_folds():
    a_shop()
    columns = all_events_columns(None, FOLDED_TYPES)
    learned = training_table(columns)

    pseudonyms = columns["pseudonyms"].tolist()
    histories = whole_histories(pseudonyms)
    folded = event_table([fold_order(histories[p], clock_ms=0) for p in pseudonyms])

    for name in learned.__slots__:
        assert getattr(learned, name).tolist() == getattr(folded, name).tolist(), name


def test_too_little_history_is_named_with_what_is_there_and_what_is_missing():
    with pytest.raises(TooLittleHistory, match="0 purchases of 0 customers"):
        train_model(TrainingOptions(), at=NOON)

    someone, other = customer(), customer()
    happen(someone, purchase("A"), purchase("B"))
    happen(other, purchase("C"))

    with pytest.raises(CommandError, match="3 purchases of 2 customers, of which 0"):
        call_command("train_twin")


def test_a_window_that_ends_before_it_begins_is_refused():
    with pytest.raises(InvalidTrainingWindow):
        train_model(TrainingOptions(cut_off=NOON, validation_from=NOON), at=NOON)


def test_the_task_takes_the_same_options_as_plain_values(model_storage):
    a_shop()

    made = tasks.train(
        epochs=1, cut_off=NOON.isoformat(), validation_days=40, name="by a worker", activate=True
    )

    version = ModelVersion.objects.get(id=made)
    assert (version.name, version.state) == ("by a worker", "active")
    assert version.validation_from == NOON - 40 * DAY


def test_a_second_model_is_rebuilt_before_it_takes_over(model_storage):
    people = a_shop()
    call_command("train_twin", epochs=1, activate=True, stdout=StringIO(), stderr=StringIO())
    advance_everything()

    happen(people[0], purchase("NEW"), start=NOON + DAY)

    with pytest.raises(CommandError, match="give a reason"):
        call_command("train_twin", epochs=1, activate=True, stdout=StringIO(), stderr=StringIO())
    waiting = ModelVersion.objects.latest("created_at")
    assert waiting.state == "rebuilt"
    call_command(
        "activate_model",
        waiting.name,
        reason="newer",
        stdout=(out := StringIO()),
        stderr=StringIO(),
    )

    assert f"{waiting.name} is active; 0 events are left to advance" in out.getvalue()
