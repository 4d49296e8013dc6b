"""The dual update: one call stores an event and answers the twin that has seen it."""

import json
from datetime import datetime

import pytest
from django.conf import settings as project_settings
from django.db import OperationalError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.api.renderers import MillisecondJSONRenderer
from common.locks import slot_of
from events import subscribers
from events.catalogue import ItemViewed
from tests.builders import DAY, NOON
from tests.events.builders import sent
from tests.twins.builders import advance_everything, customer, happen, orders, twin, verified
from twins.api.serializers import TwinSerializer
from twins.documents import twin_document
from twins.models import Twin, TwinPayload
from twins.selectors import live_twin
from twins.services import fresh_twin, verify_twins

pytestmark = pytest.mark.django_db

URL = "/api/v1/events/"
PREFER = {"HTTP_PREFER": "return=representation"}


@pytest.fixture
def crm(api):
    return api("events:write", "twins:read")


@pytest.fixture
def someone(model):
    pseudonym = customer()
    happen(pseudonym, *orders(3), step=7 * DAY)
    advance_everything()
    return pseudonym


def purchase(pseudonym, **changes):
    at = (NOON + 40 * DAY).isoformat()
    return sent(str(pseudonym), occurred_at=at, data={"order_id": "o-9"}, **changes)


def test_a_preferred_representation_is_the_twin_that_has_seen_the_event(crm, someone, model):
    answer = crm.post(URL, purchase(someone), **PREFER)

    body = answer.json()
    assert (answer.status_code, answer["Preference-Applied"]) == (200, "return=representation")
    assert (body["pseudonym"], body["stream_version"], body["lag"]) == (str(someone), 4, 0)
    assert body["memory"]["orders"] == 4
    assert answer["ETag"] == f'"{someone}.{model.id}.4"'
    (result,) = verify_twins([someone])
    assert (result.twins, result.differences, result.lagging) == (1, [], 0)


def test_the_answer_is_what_a_reader_is_told_afterwards(crm, someone):
    body = crm.post(URL, purchase(someone), **PREFER).json()

    read = crm.get(f"/api/v1/twins/{someone}/").json()

    moment = {"as_of", "memory", "predictions"}
    assert {k: v for k, v in body.items() if k not in moment} == {
        k: v for k, v in read.items() if k not in moment
    }
    as_of = datetime.fromisoformat(body["as_of"])
    assert json_of(twin_document(someone, as_of=as_of)) == body


def test_what_is_answered_is_what_the_schema_says(crm, someone):
    body = crm.post(URL, purchase(someone), **PREFER).json()

    document = twin_document(someone, as_of=datetime.fromisoformat(body["as_of"]))

    assert json_of(TwinSerializer(document).data) == body


def json_of(document):
    return json.loads(MillisecondJSONRenderer().render(document))


def test_one_look_and_one_write_bring_a_twin_up_to_date(
    someone, model, django_assert_num_queries, monkeypatch
):
    monkeypatch.setattr(project_settings, "DTOC_FIDELITY_LINES", 0)
    happen(someone, *orders(1, prefix="P"), start=NOON + 40 * DAY)
    fresh_twin(pseudonym=someone, at=NOON)  # the model is loaded now
    happen(someone, *orders(1, prefix="Q"), start=NOON + 40 * DAY + DAY / 24)

    with django_assert_num_queries(2):
        fresh = fresh_twin(pseudonym=someone, at=NOON)

    assert (fresh.twin.stream_version, fresh.stream_version) == (5, 5)
    stored = twin(someone)
    for name in ("memory", "forecast", "clock_at", "fold_mode", "waits_since", "waiting_events"):
        assert getattr(fresh.twin, name) == getattr(stored, name)


def test_what_a_reader_is_not_shown_of_the_model_is_loaded_when_asked_for(someone, model):
    stored = twin(someone)

    live = live_twin(someone).twin

    assert live == stored
    assert (live.model_version.state, live.model_version.report) == ("active", model.report)
    for field in TwinPayload._meta.get_fields():
        assert getattr(live, field.name) == getattr(stored, field.name)


def test_late_events_beyond_the_budget_wait_here_too(someone, model):
    happen(someone, *orders(1, prefix="P"), start=NOON + 60 * DAY)
    advance_everything()
    happen(someone, *orders(1, prefix="Q"), start=NOON - 60 * DAY)

    fresh = fresh_twin(pseudonym=someone, at=NOON + 61 * DAY)

    stored = twin(someone)
    assert fresh.twin.waiting_events == stored.waiting_events == 1
    assert fresh.twin.waits_since == stored.waits_since == NOON + 61 * DAY


def test_an_event_that_moves_nothing_answers_the_twin_as_it_stands(someone, model):
    before = twin(someone)
    happen(someone, ItemViewed(sku="SKU1"), start=NOON + 40 * DAY)

    fresh = fresh_twin(pseudonym=someone, at=NOON)

    assert fresh.twin.stream_version == twin(someone).stream_version == 4
    assert fresh.twin.forecast == before.forecast


def test_a_twin_that_others_have_advanced_is_answered_as_they_left_it(someone, model):
    fresh = fresh_twin(pseudonym=someone, at=NOON)

    assert fresh.twin == twin(someone)
    assert fresh.stream_version == 3


histories = st.lists(
    st.tuples(st.sampled_from(["bought", "viewed", "technical"]), st.integers(-5, 40)), max_size=6
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(histories, min_size=1, max_size=3))
def test_alone_a_twin_becomes_what_it_becomes_in_a_batch(model, batches):
    """Whatever comes, late or not, and however it is divided into calls."""
    one, other = customer(), customer()
    for number, batch in enumerate(batches):
        for pseudonym in (one, other):
            for place, (what, day) in enumerate(batch):
                happen_once(pseudonym, what, NOON + day * DAY, f"{number}-{place}")
        fresh = fresh_twin(pseudonym=one, at=NOON)
        advance_everything()
        alone, together = twin_or_none(one), twin_or_none(other)
        assert (alone is None) == (together is None) == (fresh is None)
        if fresh is not None:
            names = [f.name for f in TwinPayload._meta.get_fields() if f.name != "pseudonym"]
            names += ["fold_mode", "waits_since", "waiting_events", "snapshot_version"]
            assert [getattr(alone, n) for n in names] == [getattr(together, n) for n in names]
            assert fresh.twin.forecast == alone.forecast
            assert fresh.twin.stream_version == alone.stream_version
    assert not verified(one, other).differences


def happen_once(pseudonym, what, moment, order):
    if what == "viewed":
        happen(pseudonym, ItemViewed(sku="SKU1"), start=moment)
    else:
        (line,) = orders(1, prefix=order)
        marks = {"technical": True} if what == "technical" else None
        happen(pseudonym, line, start=moment, metadata=marks)


def twin_or_none(pseudonym):
    return Twin.objects.filter(pseudonym=pseudonym).first()


@pytest.fixture
def told(monkeypatch):
    heard: list[set[int]] = []
    monkeypatch.setattr(subscribers, "_callbacks", [lambda shards: heard.append(set(shards))])
    return heard


@pytest.mark.django_db(transaction=True)
def test_no_worker_is_called_for_what_the_call_has_done_itself(crm, someone, told):
    crm.post(URL, purchase(someone), **PREFER)
    assert told == []

    crm.post(URL, purchase(someone) | {"data": {**purchase(someone)["data"], "order_id": "o-10"}})
    assert told == [{slot_of(someone) % 16}]


@pytest.mark.django_db(transaction=True)
def test_a_worker_is_called_where_no_twin_could_be_answered(crm, told):
    someone = customer()

    crm.post(URL, purchase(someone), **PREFER)  # no model is active

    assert told == [{slot_of(someone) % 16}]


@pytest.mark.django_db(transaction=True)
def test_a_worker_is_called_where_the_call_broke_off(crm, someone, told, monkeypatch):
    def broken(*args):
        raise OperationalError("gone")

    monkeypatch.setattr("events.api.views.representation_of", broken)

    assert crm.post(URL, purchase(someone), **PREFER).status_code == 503
    assert told == [{slot_of(someone) % 16}]


def test_sent_again_it_answers_the_twin_and_stores_nothing(crm, someone):
    first = crm.post(URL, purchase(someone), **PREFER)

    again = crm.post(URL, purchase(someone), **PREFER)

    assert again.status_code == 200
    assert again["ETag"] == first["ETag"]


def test_a_new_customer_has_a_twin_at_once(api, model):
    crm = api("events:write", "twins:read", "identities:write")

    answer = crm.post(URL, purchase_of_a_newcomer(), **PREFER)

    assert answer.json()["memory"]["orders"] == 1


def purchase_of_a_newcomer():
    return sent({"kind": "crm_id", "value": "newcomer"})


def test_without_a_model_the_preference_is_passed_over(crm):
    answer = crm.post(URL, purchase(customer()), **PREFER)

    assert answer.status_code == 201
    assert "Preference-Applied" not in answer


def test_who_may_not_read_twins_is_shown_none(api, someone):
    answer = api("events:write").post(URL, purchase(someone), **PREFER)

    assert answer.status_code == 201
    assert "predictions" not in answer.json()
    assert twin(someone).stream_version == 3  # nor was it advanced in the request


def test_what_is_not_stored_is_a_problem_as_ever(crm, someone):
    free = purchase(someone)
    free["data"]["unit_price"] = "0"

    answer = crm.post(URL, free, **PREFER)

    assert answer.status_code == 422
    assert Twin.objects.get(pseudonym=someone).stream_version == 3


def test_an_array_is_answered_by_its_report(crm, someone):
    assert "accepted" in crm.post(URL, [purchase(someone)], **PREFER).json()
