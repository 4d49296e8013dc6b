"""Reading twins and model versions over the API."""

import json
import subprocess
import sys
from datetime import timedelta
from uuid import uuid4

import pytest

from common.clock import now
from customers.models import Customer
from tests.builders import DAY, HOUR, NOON
from tests.twins.builders import (
    SKUS,
    active_model,
    advance_everything,
    customer,
    happen,
    orders,
    registered,
    stored_model,
    twin,
)
from twins.models import Twin

pytestmark = pytest.mark.django_db


def url(pseudonym) -> str:
    return f"/api/v1/twins/{pseudonym}/"


@pytest.fixture
def reader(api):
    return api("twins:read")


@pytest.fixture
def someone(model):
    """A customer with six weekly orders."""
    pseudonym = customer()
    happen(pseudonym, *orders(6), step=7 * DAY)
    advance_everything()
    return pseudonym


def test_a_twin_answers_with_what_it_remembers_and_expects(reader, someone, model):
    at = twin(someone).clock_at + DAY

    answer = reader.get(url(someone), {"as_of": at.isoformat()})

    body = answer.json()
    assert answer.status_code == 200
    assert body["model"] == {"id": str(model.id), "name": model.name, "sha256": model.sha256}
    assert (body["stream_version"], body["lag"]) == (6, 0)
    assert body["memory"]["orders"] == 6
    assert body["memory"]["spend"] == "30.60"
    assert body["memory"]["days_since_last_order"] == pytest.approx(1)
    assert body["memory"]["mean_days_between_orders"] == pytest.approx(7)
    predictions = body["predictions"]
    within = predictions["order_within"]
    assert 0 < within["7_days"] < within["30_days"] < within["90_days"] < 1
    assert predictions["churn"] == pytest.approx(1 - within["90_days"])
    shares = [item["probability"] for item in predictions["next_items"]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    basket = predictions["next_basket"]
    assert [item["rank"] for item in basket] == list(range(1, len(SKUS) + 1))
    assert all(item["bought_before"] == (item["sku"] in SKUS[:6]) for item in basket)
    chances = [item["probability"] for item in basket]
    assert chances == sorted(chances, reverse=True)
    days = predictions["days_to_next_order"]
    assert days["high"] is None or days["low"] < days["median"] < days["high"]


def test_predictions_move_with_the_moment_that_is_asked_about(reader, someone):
    clock = twin(someone).clock_at

    soon = reader.get(url(someone), {"as_of": clock.isoformat()}).json()
    later = reader.get(url(someone), {"as_of": (clock + 300 * DAY).isoformat()}).json()

    assert later["predictions"]["churn"] > soon["predictions"]["churn"]
    assert later["memory"]["days_since_last_order"] == pytest.approx(300)
    assert later["predictions"]["next_items"] == soon["predictions"]["next_items"]


def test_a_moment_before_the_twins_last_event_at_which_nothing_was_known_is_not_found(
    reader, someone
):
    before = (twin(someone).clock_at - HOUR).isoformat()

    answer = reader.get(url(someone), {"as_of": before})

    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/twin-version-not-kept"


def test_without_a_moment_the_answer_is_as_of_now(reader, someone):
    body = reader.get(url(someone)).json()

    assert body["as_of"][:10] == now().date().isoformat()


def test_events_that_are_not_folded_yet_are_counted(reader, someone):
    happen(someone, *orders(2, prefix="NEW"), start=NOON + 100 * DAY)

    body = reader.get(url(someone)).json()

    assert (body["stream_version"], body["lag"]) == (6, 2)


def test_a_registered_customer_has_a_twin_before_the_first_purchase(reader, model):
    newcomer = customer()
    happen(newcomer, registered())
    advance_everything()

    body = reader.get(url(newcomer)).json()

    assert body["memory"]["orders"] == 0
    assert body["memory"]["last_order_at"] is None
    assert body["predictions"]["next_items"]


def test_an_unknown_customer_is_not_found(reader, model):
    answer = reader.get(url(uuid4()))

    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/unknown-customer"


def test_a_customer_who_is_being_erased_is_not_found(reader, someone):
    Customer.objects.filter(pseudonym=someone).update(status=Customer.Status.ERASED)

    assert reader.get(url(someone)).status_code == 404


def test_without_an_active_model_the_answer_says_so(reader):
    answer = reader.get(url(customer()))

    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/no-active-model"


def test_a_customer_whose_twin_was_not_advanced_yet_is_told_so(reader, model):
    answer = reader.get(url(customer()))

    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/twin-not-advanced"


def test_whoever_asks_for_a_version_is_told_to_come_back_until_it_is_there(reader, someone):
    early = reader.get(url(someone), {"min_version": 7, "wait_ms": 60})
    happen(someone, *orders(1, prefix="NEW"), start=NOON + 100 * DAY)
    advance_everything()
    there = reader.get(url(someone), {"min_version": 7})

    assert early.status_code == 202
    assert early["Retry-After"] == "1"
    assert early.json() == {"pseudonym": str(someone), "stream_version": 6, "min_version": 7}
    assert there.status_code == 200
    assert there.json()["stream_version"] == 7


def test_a_version_is_waited_for_even_where_there_is_no_twin_yet(reader, model):
    answer = reader.get(url(customer()), {"min_version": 1})

    assert answer.status_code == 202
    assert answer.json()["stream_version"] == 0


@pytest.mark.parametrize(
    ("name", "value"), [("min_version", "0"), ("wait_ms", "99999"), ("as_of", "yesterday")]
)
def test_a_malformed_question_is_refused_with_the_place_of_the_mistake(
    reader, someone, name, value
):
    answer = reader.get(url(someone), {name: value})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == f"/{name}"


def test_the_entity_tag_names_customer_model_and_version_and_spares_the_body(
    reader, someone, model
):
    tag = reader.get(url(someone))["ETag"]
    assert tag == f'"{someone}.{model.id}.6"'

    same = reader.get(url(someone), HTTP_IF_NONE_MATCH=f'"other", {tag}')
    happen(someone, *orders(1, prefix="NEW"), start=NOON + 100 * DAY)
    advance_everything()
    newer = reader.get(url(someone), HTTP_IF_NONE_MATCH=tag)

    assert (same.status_code, same.content) == (304, b"")
    assert newer.status_code == 200


def test_a_token_without_the_scope_reads_no_twin_and_no_model(api, someone):
    stranger = api("events:write")

    assert stranger.get(url(someone)).status_code == 403
    assert stranger.get("/api/v1/models/").status_code == 403


def test_models_are_listed_newest_first_with_alias_and_figures(reader):
    active = active_model()
    challenger = stored_model(seed=1, nll=5.5, at=NOON + DAY)
    for number in range(50):
        stored_model(seed=2 + number, at=NOON - DAY)

    body = reader.get("/api/v1/models/").json()
    rest = reader.get(body["next"]).json()

    assert [row["id"] for row in body["results"][:2]] == [str(challenger.id), str(active.id)]
    assert [row["alias"] for row in body["results"][:3]] == ["challenger", "active", None]
    assert body["results"][0]["summary"]["next_item_nll"] == 5.5
    assert len(rest["results"]) == 2


def test_one_model_shows_its_whole_report(reader, model):
    body = reader.get(f"/api/v1/models/{model.id}/").json()

    assert body["report"] == model.report
    assert body["state"] == "active"
    assert reader.get(f"/api/v1/models/{uuid4()}/").status_code == 404


WITHOUT_TORCH = """
import json, sys
import django
django.setup()
import dtoc_project.urls, dtoc_project.wsgi
from datetime import datetime, timedelta
from uuid import UUID
from twins.documents import predictions_of
from twins.models import Twin
twin = Twin(**json.load(sys.stdin))
shown = predictions_of(twin, as_of=datetime.fromisoformat(sys.argv[1]))
print(json.dumps({"torch": "torch" in sys.modules, "churn": shown["churn"]}))
"""


def test_a_web_process_answers_without_loading_torch(reader, someone):
    stored = Twin.objects.values("stream_version", "memory", "forecast").get()
    as_of = twin(someone).clock_at + timedelta(days=9)

    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, as_of.isoformat()],
        input=json.dumps(stored),
        capture_output=True,
        text=True,
        check=True,
        env=None,
    )

    told = reader.get(url(someone), {"as_of": as_of.isoformat()}).json()
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "torch": False,
        "churn": told["predictions"]["churn"],
    }
