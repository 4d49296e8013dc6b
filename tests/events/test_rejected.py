"""The live view of what was rejected: the last hundred of a source, and never in anybody's way."""

import json
from uuid import uuid4

import pytest
import redis
from django.conf import settings as project_settings
from django.db import transaction

from events.api.parsers import item_of
from events.models import QuarantinedEvent
from events.selectors import events_after
from events.services import Policy, ingest, rejected
from events.services.rejected import Rejection, rejected_items, tell_rejected
from events.services.replay import replay
from tests.builders import HOUR, NOON
from tests.events.builders import sent

pytestmark = pytest.mark.django_db
SECRET = "jane.roe@example.org"


@pytest.fixture(autouse=True)
def live(monkeypatch):
    """An empty view; what has been told to Redis is visible at once."""
    client = redis.Redis.from_url(project_settings.REDIS_URL)
    for key in client.scan_iter("dtoc:rejected:*"):
        client.delete(key)
    monkeypatch.setattr(rejected._Pause, "until", 0.0)
    yield client
    client.close()


@pytest.fixture
def take(django_capture_on_commit_callbacks):
    def send(*events: dict, source: str = "shop", at=NOON):
        items = [item_of(json.dumps(event, default=str).encode()) for event in events]
        with django_capture_on_commit_callbacks(execute=True):
            return ingest(items=items, policy=Policy(source=source, at=at))

    return send


def shown(source: str | None = None) -> list[tuple]:
    return [(item["index"], item["reason"]) for item in rejected_items(source).items]


def test_what_does_not_end_accepted_is_shown_with_its_place_the_newest_first(take, customer):
    conflict = uuid4()
    take(
        sent(customer, data={"unit_price": "0"}),
        sent(customer, event_id=conflict),
        sent(customer, event_id=conflict, data={"quantity": 7}),
        sent(customer, event_id=conflict),
        {"customer": str(customer), "type": "item_viewed", "occurred_at": NOON.isoformat(),
         "data": {"sku": "A"}},
    )  # fmt: skip
    take(sent(customer, data={"unit_price": "0"}), at=NOON + HOUR)

    assert shown("shop") == [
        (0, "quarantined_before"),
        (4, "event_id_missing"),
        (2, "event_id_conflict"),
        (0, "price_not_positive"),
    ]
    newest = rejected_items("shop").items[0]
    assert newest["at"] == "2011-05-02T13:00:00.000Z"
    assert "since 2011-05-02T12:00:00.000Z" in newest["detail"]
    assert rejected_items("shop").items[2]["event_id"] == str(conflict)


def test_neither_bodies_nor_customers_are_in_it(take, live, customer):
    who = {"kind": "email", "value": SECRET}
    take(sent(who), sent(customer, type=SECRET), sent(customer, data={SECRET: 1}), {SECRET: 1})

    told = b"".join(
        b"".join(live.lrange(key, 0, -1)) for key in live.scan_iter("dtoc:rejected:of:*")
    )
    assert told.count(b'"reason"') == 4
    assert b"jane.roe" not in told
    assert str(customer).encode() not in told


def test_each_source_keeps_its_last_hundred_for_a_day(take, live):
    for start in (0, 90):
        take(*(sent(None, event_id=uuid4()) for _ in range(start, start + 90)))
    take(sent(None), source="till")

    view = rejected_items()
    assert len([item for item in view.items if item["source"] == "shop"]) == 100
    assert view.sources == ["shop", "till"]
    assert view.available is True
    assert shown("till") == [(0, "no_customer")]
    assert shown("nobody") == []
    assert live.llen("dtoc:rejected:of:shop") == 100
    assert 0 < live.ttl("dtoc:rejected:of:shop") <= 24 * 3600
    assert 0 < live.ttl("dtoc:rejected:sources") <= 24 * 3600


def test_a_large_batch_sends_one_pipeline_and_one_without_faults_sends_none(
    take, customer, monkeypatch
):
    sent_lines = []
    send = rejected._send
    monkeypatch.setattr(
        rejected, "_send", lambda *facts: (sent_lines.append(len(facts[2])), send(*facts))
    )

    take(sent(customer), sent(customer, data={"line_no": 2}))
    take(*(sent(None, event_id=uuid4()) for _ in range(250)))

    assert sent_lines == [100]


def test_what_is_rolled_back_is_not_shown(customer, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        tell_rejected("shop", NOON, [Rejection(0, "no_customer", "", None)])
        transaction.set_rollback(True)

    assert shown() == []


def test_a_replay_is_no_news(take, customer, django_capture_on_commit_callbacks):
    take(sent(customer, data={"unit_price": "0"}))
    with django_capture_on_commit_callbacks(execute=True):
        replay(ids=[QuarantinedEvent.objects.get().id], by="o", at=NOON)

    assert shown() == [(0, "price_not_positive")]


@pytest.fixture
def no_redis(settings):
    """Redis is away: nobody listens there."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    rejected._client.cache_clear()
    yield
    rejected._client.cache_clear()


def test_without_redis_events_are_taken_all_the_same_and_it_is_asked_once_in_a_while(
    take, customer, no_redis, caplog
):
    for line in range(1, 4):
        take(sent(None, event_id=uuid4()), sent(customer, data={"line_no": line}))

    assert len(events_after({customer: 1})) == 3
    assert QuarantinedEvent.objects.count() == 3
    assert [r.message for r in caplog.records].count("live view not told") == 1
    view = rejected_items()
    assert (view.available, view.items, view.sources) == (False, [], [])


def test_the_api_answers_with_the_view_and_says_where_redis_is_away(api, take, settings):
    take(sent(None, event_id=(event_id := uuid4())), source="till")
    manager = api("quarantine:manage")

    answer = manager.get("/api/v1/events/rejected/", {"source": "till"}).json()

    assert answer == {
        "available": True,
        "sources": ["till"],
        "results": [
            {
                "at": "2011-05-02T12:00:00.000Z",
                "source": "till",
                "reason": "no_customer",
                "detail": "no customer is named",
                "event_id": str(event_id),
                "index": 0,
            }
        ],
    }
    assert manager.get("/api/v1/events/rejected/", {"source": "x" * 101}).status_code == 400


def test_the_admin_page_fetches_its_rows_and_builds_no_markup_of_them(admin_client, take):
    take(sent(None))
    page = admin_client.get("/admin/events/quarantinedevent/rejected/?source=shop")
    data = admin_client.get("/admin/events/quarantinedevent/rejected/data/?source=shop").json()

    text = page.content.decode()
    assert page.status_code == 200
    assert 'data-chosen="shop"' in text
    assert "textContent" in text
    assert "innerHTML" not in text
    assert [item["reason"] for item in data["items"]] == ["no_customer"]
    assert admin_client.post("/admin/events/quarantinedevent/rejected/data/").status_code == 405


def test_the_page_needs_the_right_to_look(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("x", password="p", is_staff=True))

    for path in ("rejected/", "rejected/data/"):
        assert client.get(f"/admin/events/quarantinedevent/{path}").status_code == 403
