"""The dual update: one call stores an event and answers the twin that has seen it."""

import pytest

from tests.builders import DAY, NOON
from tests.events.builders import sent
from tests.twins.builders import advance_everything, customer, happen, orders, twin
from twins.models import Twin
from twins.services import verify_twins

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
