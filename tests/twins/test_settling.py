"""A single twin is read without a lock, so whatever moves before it is stored has to be noticed."""

from collections.abc import Callable
from uuid import UUID

import pytest
from django.conf import settings as project_settings

from customers.services import erase_now
from tests.builders import DAY, NOON
from tests.events.builders import in_other_connection
from tests.twins.builders import (
    active_model,
    advance_everything,
    customer,
    happen,
    orders,
    stored_model,
    twin,
    verified,
)
from twins.models import ParkedStream, Twin, TwinSnapshot
from twins.selectors import active_model_id
from twins.services import activate_model, fresh, fresh_twin
from twins.services.park import park

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["known", "new", "within a day"])
def someone(request) -> UUID:
    """A customer with an unseen event, whose twin is there already or not."""
    active_model()
    pseudonym = customer()
    happen(pseudonym, *orders(2), step=DAY)
    if request.param != "new":
        advance_everything()
        later = DAY if request.param == "known" else DAY / 24
        happen(pseudonym, *orders(1, prefix="P"), start=NOON + DAY + later)
    return pseudonym


@pytest.fixture
def meanwhile(monkeypatch) -> Callable[[Callable[[], object]], None]:
    """Something happens, once, when a twin has been folded and is not stored yet."""

    def arrange(happens: Callable[[], object]) -> None:
        fold, left = fresh.fold, [happens]

        def folded(*args, **kwargs):
            result = fold(*args, **kwargs)
            if left:
                in_other_connection(left.pop()).join()
            return result

        monkeypatch.setattr(fresh, "fold", folded)

    return arrange


def test_undisturbed_it_is_stored_as_it_was_folded(someone):
    answered = fresh_twin(pseudonym=someone, at=NOON)

    assert answered.twin.stream_version == twin(someone).stream_version
    assert verified(someone).differences == []


def test_a_worker_that_was_quicker_is_not_overwritten(someone, meanwhile):
    def others():
        happen(someone, *orders(1, prefix="Q"), start=NOON + 30 * DAY)
        advance_everything()

    meanwhile(others)

    answered = fresh_twin(pseudonym=someone, at=NOON)

    stored = twin(someone)
    assert answered.twin.forecast == stored.forecast
    assert answered.twin.stream_version == stored.stream_version == answered.stream_version
    assert verified(someone).differences == []


def test_events_that_came_meanwhile_stay_to_be_folded(someone, meanwhile):
    meanwhile(lambda: happen(someone, *orders(1, prefix="Q"), start=NOON + 30 * DAY))

    answered = fresh_twin(pseudonym=someone, at=NOON)
    advance_everything()

    assert answered.stream_version == answered.twin.stream_version + 1
    assert twin(someone).stream_version == answered.stream_version
    assert verified(someone).differences == []


def test_another_model_was_activated(someone, meanwhile):
    other = stored_model(seed=1, nll=5.0)
    meanwhile(lambda: activate_model(model_id=other.id, at=NOON))

    answered = fresh_twin(pseudonym=someone, at=NOON)

    assert answered.twin.model_version_id == other.id
    assert verified(someone).differences == []


def test_who_was_erased_meanwhile_stays_erased(someone, meanwhile):
    meanwhile(lambda: erase_now(pseudonym=someone, requested_by="test", at=NOON))

    assert fresh_twin(pseudonym=someone, at=NOON) is None
    assert twin_or_none(someone) is None
    assert not TwinSnapshot.objects.exists()


def test_a_stream_that_was_parked_meanwhile_is_left_alone(someone, meanwhile):
    before = twin_or_none(someone)
    model = active_model_id()

    def parked():
        park(pseudonym=someone, model_id=model, error=ValueError("spoiled"), at=NOON)

    meanwhile(parked)

    answered = fresh_twin(pseudonym=someone, at=NOON)

    assert ParkedStream.objects.count() == 1
    assert twin_or_none(someone) == before
    assert (answered and answered.twin) == before


def test_what_was_not_stored_leaves_no_snapshot_and_no_score(someone, meanwhile, monkeypatch):
    monkeypatch.setattr(project_settings, "DTOC_FIDELITY_SHARE", 1.0)
    snapshots = set(TwinSnapshot.objects.values_list("id", flat=True))
    model = active_model_id()
    meanwhile(lambda: park(pseudonym=someone, model_id=model, error=ValueError(), at=NOON))

    fresh_twin(pseudonym=someone, at=NOON)

    assert set(TwinSnapshot.objects.values_list("id", flat=True)) == snapshots


def test_every_write_gives_the_row_another_token(someone):
    fresh_twin(pseudonym=someone, at=NOON)
    happen(someone, *orders(1, prefix="Q"), start=NOON + 30 * DAY)
    tokens = [fresh._seen(someone).token]
    Twin.objects.filter(pseudonym=someone).update(updated_at=NOON)
    tokens.append(fresh._seen(someone).token)

    assert len(set(tokens)) == 2


def twin_or_none(pseudonym: UUID) -> Twin | None:
    return Twin.objects.filter(pseudonym=pseudonym).first()
