"""Quarantine over the API and in the admin: what may be seen, what may be done, what is told."""

import json
import logging
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from common.models import Operation
from common.operations import LEASE, cancel_operation, operation_by_id
from customers.vault import open_body
from events.api.parsers import item_of
from events.models import QuarantinedEvent
from events.selectors import events_after
from events.services import Policy, bulk_replay, ingest
from events.services.bulk_replay import LIST_ROUTE, replay_all, run_replay
from events.services.quarantine import LIST_URL
from events.services.resolve import discard_one
from events.tasks import replay_quarantined, sweep_replays
from tests.builders import NOON
from tests.events.builders import sent

pytestmark = pytest.mark.django_db

URL = "/api/v1/quarantine/"
ADMIN = "/admin/events/quarantinedevent/"
SECRET = "jane.roe@example.org"


@pytest.fixture
def manager(api):
    return api("quarantine:manage")


@pytest.fixture
def operator(client):
    """A person who may do everything with quarantine and nothing else."""
    user = User.objects.create_user("operator", password="p", is_staff=True)
    names = ["view_quarantinedevent", "open_quarantined", "resolve_quarantined"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    return client


def put(*events: dict, source: str = "shop") -> list[QuarantinedEvent]:
    items = [item_of(json.dumps(event, default=str).encode()) for event in events]
    ingest(items=items, policy=Policy(source=source, at=NOON))
    return list(QuarantinedEvent.objects.order_by("id"))


def free(customer, **changes) -> dict:
    return sent(customer, data={"unit_price": "0", **changes})


def future(customer, line: int) -> dict:
    return sent(customer, data={"line_no": line}, occurred_at="2011-05-02T12:30:00Z")


def slug(answer) -> str:
    return answer.json()["type"].removeprefix("/problems/")


# The API


def test_the_list_is_filtered_paged_and_holds_no_body(manager, customer):
    put(free(customer), free(customer, line_no=2), sent(customer, type="item_admired"))
    put(free(customer), source="till")

    def found(**query) -> list[tuple[str, str]]:
        answer = manager.get(URL, query).json()
        return sorted((row["source"], row["reason"]) for row in answer["results"])

    assert len(found()) == 4
    assert found(source="till") == [("till", "price_not_positive")]
    assert found(reason="unknown_type", source="shop") == [("shop", "unknown_type")]
    assert found(status="discarded") == []
    first = manager.get(URL, {"limit": 3}).json()
    rest = manager.get(first["next"]).json()
    ids = [row["id"] for row in first["results"] + rest["results"]]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 4
    assert all("body" not in row for row in first["results"])
    assert manager.get(URL, {"status": "lost"}).status_code == 400


def test_one_is_shown_without_its_body_unless_it_is_asked_for_and_logged(manager, caplog):
    (row,) = put(sent({"kind": "email", "value": SECRET}))

    plain = manager.get(f"{URL}{row.id}/")
    with caplog.at_level(logging.INFO, logger="dtoc.audit"):
        opened = manager.get(f"{URL}{row.id}/?body=true")

    assert SECRET not in plain.content.decode()
    assert opened.json()["body"]["customer"]["value"] == SECRET
    assert [record.message for record in caplog.records] == ["quarantined body opened"]
    assert caplog.records[0].by == "test client for quarantine:manage"
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", ""),
        ("get", "17/"),
        ("post", "17/replay/"),
        ("post", "17/mend/"),
        ("post", "17/discard/"),
        ("post", "replay/"),
        ("get", "../events/rejected/"),
    ],
)
def test_every_route_needs_the_scope(api, method, path):
    others = api("events:write", "events:read", "identities:write", "audit:read")

    answer = getattr(others, method)(
        f"/api/v1/{'quarantine/' + path}".replace("quarantine/../", "")
    )

    assert answer.status_code == 403


def test_a_replay_answers_with_where_the_event_is_or_why_it_is_not(manager, customer):
    rows = {row.reason: row for row in put(free(customer), future(customer, 2))}

    stored = manager.post(f"{URL}{rows['time_in_future'].id}/replay/")
    again = manager.post(f"{URL}{rows['time_in_future'].id}/replay/")
    doubtful = manager.post(f"{URL}{rows['price_not_positive'].id}/replay/")
    unknown = manager.post(f"{URL}{10**18}/replay/")

    assert stored.status_code == 200
    assert stored.json()["outcome"] == "stored"
    assert stored.json()["consistency_token"] == f"{customer}.2"
    assert (again.status_code, slug(again)) == (409, "quarantine-resolved")
    assert (doubtful.status_code, slug(doubtful)) == (422, "still-quarantined")
    assert "price_not_positive: unit_price is zero or negative" in doubtful.json()["detail"]
    assert (unknown.status_code, slug(unknown)) == (404, "unknown-quarantined")


def test_a_mended_event_is_stored_and_a_faulty_one_is_pointed_at(manager, customer):
    (row,) = put(free(customer))

    faulty = manager.post(f"{URL}{row.id}/mend/", {"body": json_of(free(customer))})
    mended = manager.post(f"{URL}{row.id}/mend/", {"body": json_of(sent(customer))})
    late = manager.post(f"{URL}{row.id}/mend/", {"body": json_of(sent(customer))})
    empty = manager.post(f"{URL}{row.id}/mend/", {})

    assert (faulty.status_code, slug(faulty)) == (422, "mend-invalid")
    assert faulty.json()["errors"] == [
        {
            "detail": "unit_price is zero or negative",
            "pointer": "/data/unit_price",
            "code": "price-not-positive",
        }
    ]
    assert (mended.status_code, mended.json()["version"]) == (200, 2)
    assert (late.status_code, slug(late)) == (409, "quarantine-resolved")
    assert (empty.status_code, slug(empty)) == (400, "validation-error")


def json_of(event: dict) -> dict:
    return json.loads(json.dumps(event, default=str))


def test_a_discarded_event_is_answered_without_a_body(manager, customer):
    (row,) = put(free(customer))

    answer = manager.post(f"{URL}{row.id}/discard/")
    opened = manager.get(f"{URL}{row.id}/?body=true")

    assert (answer.status_code, answer.json()["status"]) == (200, "discarded")
    assert opened.json()["body"] is None
    assert slug(manager.post(f"{URL}{row.id}/discard/")) == "quarantine-resolved"


def test_a_single_event_that_waits_already_is_told_so_and_no_longer_contradicts_itself(
    api, customer
):
    writer = api("events:write")
    event = json_of(free(customer))

    first = writer.post("/api/v1/events/", event)
    again = writer.post("/api/v1/events/", event)
    right = writer.post("/api/v1/events/", json_of(sent(customer)))
    late = writer.post("/api/v1/events/", event)

    assert (first.status_code, slug(first)) == (422, "event-quarantined")
    assert (again.status_code, slug(again)) == (422, "quarantined-before")
    assert "it is in quarantine already, since " in again.json()["detail"]
    assert "was put into quarantine" not in again.json()["detail"]
    assert right.status_code == 201
    assert "was stored from there" in late.json()["detail"]
    assert QuarantinedEvent.objects.get().status == "replayed"


# Many at once


def test_all_of_a_reason_or_source_are_replayed_at_once(manager, customer):
    put(future(customer, 2), future(customer, 3), free(customer))
    put(future(customer, 4), source="till")

    nothing = manager.post(f"{URL}replay/", {})
    by_reason = manager.post(f"{URL}replay/", {"reason": "time_in_future", "source": "shop"})
    by_source = manager.post(f"{URL}replay/", {"source": "shop"})

    assert nothing.status_code == 400
    counts = {"stored": 2, "duplicates": 0, "waiting": 0, "refused": 0, "gone": 0, "problems": {}}
    assert (by_reason.status_code, by_reason.json()) == (200, counts)
    assert by_source.json()["problems"] == {"price_not_positive": 1}
    assert QuarantinedEvent.objects.filter(status="waiting").count() == 2
    assert len(events_after({customer: 1})) == 2


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(bulk_replay, "AT_ONCE", 4)
    monkeypatch.setattr(bulk_replay, "CHUNK", 2)


def test_more_than_that_becomes_an_operation_that_reaches_its_total(
    manager, customer, small_chunks, django_capture_on_commit_callbacks
):
    put(*(future(customer, n) for n in range(2, 9)), free(customer))

    answer = manager.post(f"{URL}replay/", {"reason": "time_in_future"})

    assert answer.status_code == 202
    operation_id = answer["Location"].rstrip("/").rsplit("/", 1)[1]
    assert answer.json()["progress"] == {"done": 0, "total": 7, "unit": "events"}
    assert replay_quarantined(operation_id) is True
    done = operation_by_id(operation_id)
    assert (done.status, done.done, done.kind) == ("succeeded", 7, "quarantine_replay")
    assert done.requested_by == "test client for quarantine:manage"
    assert done.result_url == URL == LIST_URL == reverse(LIST_ROUTE)
    assert len(events_after({customer: 1})) == 7
    assert QuarantinedEvent.objects.filter(status="waiting").count() == 1


def test_a_chunk_that_was_begun_by_a_lost_worker_is_done_by_another(
    customer, small_chunks, monkeypatch
):
    put(*(future(customer, n) for n in range(2, 8)))
    operation = replay_all(reason="time_in_future", source="", by="o", at=NOON).operation
    late = NOON.replace(hour=13)

    def dies(**facts) -> None:
        raise SystemExit

    with monkeypatch.context() as broken:
        broken.setattr(bulk_replay, "finish_chunk", dies)
        with pytest.raises(SystemExit):
            run_replay(operation_id=operation.id, holder="lost", at=late)
    assert sweep_replays() == 1
    while run_replay(operation_id=operation.id, holder=str(uuid4()), at=late + 2 * LEASE):
        pass

    assert Operation.objects.get(id=operation.id).done == 6
    assert len(events_after({customer: 1})) == 6
    assert sweep_replays() == 0


def test_a_cancelled_replay_ends_at_the_next_chunk(customer, small_chunks):
    put(*(future(customer, n) for n in range(2, 8)))
    operation = replay_all(reason="", source="shop", by="o", at=NOON).operation
    later = NOON.replace(hour=13)
    run_replay(operation_id=operation.id, holder="a", at=later)
    cancel_operation(operation_id=operation.id, at=later)

    assert run_replay(operation_id=operation.id, holder="b", at=later) is False

    assert len(events_after({customer: 1})) == 2


# The admin


def test_the_list_shows_those_that_wait_and_others_when_asked(operator, customer):
    first, _ = put(free(customer), sent(customer, type="item_admired"))
    discard_one(row_id=first.id, by="o", at=NOON)

    waiting = operator.get(ADMIN).content.decode()
    discarded = operator.get(f"{ADMIN}?status=discarded").content.decode()
    every = operator.get(f"{ADMIN}?status=all&q=shop").content.decode()

    other = QuarantinedEvent.objects.exclude(id=first.id).get()
    assert f"{ADMIN}{other.id}/change/" in waiting
    assert f"{ADMIN}{first.id}/change/" not in waiting
    assert f"{ADMIN}{first.id}/change/" in discarded
    assert all(f"{ADMIN}{row.id}/change/" in every for row in (first, other))


def test_a_body_is_shown_by_a_post_only_and_logged(operator, caplog):
    (row,) = put(sent({"kind": "email", "value": SECRET}))

    page = operator.get(f"{ADMIN}{row.id}/change/").content.decode()
    linked = operator.get(f"{ADMIN}{row.id}/open/")
    with caplog.at_level(logging.INFO, logger="dtoc.audit"):
        opened = operator.post(f"{ADMIN}{row.id}/open/").content.decode()

    assert "Show body" in page
    assert SECRET not in page
    assert linked.status_code == 403
    assert SECRET in opened
    told = [record.message for record in caplog.records if record.name == "dtoc.audit"]
    assert told == ["quarantined body opened"]


def test_a_mended_body_is_stored_and_a_faulty_one_comes_back_with_its_faults(operator, customer):
    (row,) = put(free(customer))
    address = f"{ADMIN}{row.id}/mend/"

    broken = operator.post(address, {"body": '{"customer": '}).content.decode()
    faulty = operator.post(address, {"body": json.dumps(json_of(free(customer)))}).content.decode()
    mended = operator.post(address, {"body": json.dumps(json_of(sent(customer)))}, follow=True)

    assert "line 1, column" in broken
    assert "/data/unit_price" in faulty
    assert "unit_price is zero or negative" in faulty
    assert "nothing was changed" in faulty
    assert "1 stored." in mended.content.decode()
    assert QuarantinedEvent.objects.get().status == "replayed"


def test_the_buttons_replay_and_discard_one(operator, customer):
    rows = {row.reason: row for row in put(free(customer), future(customer, 2))}

    doubtful = operator.post(f"{ADMIN}{rows['price_not_positive'].id}/replay/", follow=True)
    stored = operator.post(f"{ADMIN}{rows['time_in_future'].id}/replay/", follow=True)
    gone = operator.post(f"{ADMIN}{rows['price_not_positive'].id}/discard/", follow=True)

    assert "Still waiting: price_not_positive: unit_price" in doubtful.content.decode()
    assert "1 stored." in stored.content.decode()
    assert "the body is destroyed" in gone.content.decode()
    assert sorted(row.status for row in QuarantinedEvent.objects.all()) == ["discarded", "replayed"]


def test_the_actions_say_what_became_of_the_selected(operator, customer):
    rows = put(free(customer), future(customer, 2), future(customer, 3), free(customer, line_no=4))
    chosen = {"_selected_action": [row.id for row in rows]}

    replayed = operator.post(ADMIN, {"action": "replay_selected", **chosen}, follow=True)
    discarded = operator.post(ADMIN, {"action": "discard_selected", **chosen}, follow=True)

    told = "2 stored, 2 still waiting. Why they wait: 2 price_not_positive."
    assert told in replayed.content.decode()
    assert "2 discarded, their bodies are destroyed." in discarded.content.decode()


def test_all_with_the_reason_of_the_filter_can_be_replayed(operator, customer):
    put(future(customer, 2), free(customer))

    page = operator.get(f"{ADMIN}?reason=time_in_future").content.decode()
    answer = operator.post(f"{ADMIN}replay/", {"reason": "time_in_future"}, follow=True)

    assert "Replay all that wait with reason time_in_future" in page
    assert "1 stored." in answer.content.decode()
    assert "Choose a reason" in operator.post(f"{ADMIN}replay/", follow=True).content.decode()


@pytest.mark.parametrize(
    ("held", "allowed"),
    [
        (["view_quarantinedevent"], set()),
        (["view_quarantinedevent", "open_quarantined"], {"open"}),
        (["view_quarantinedevent", "resolve_quarantined"], {"replay", "discard"}),
    ],
)
def test_each_step_needs_its_permission(client: Client, customer, held, allowed):
    user = User.objects.create_user("someone", password="p", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=held))
    client.force_login(user)
    (row,) = put(free(customer))

    for step in ("open", "mend", "replay", "discard"):
        answer = client.post(f"{ADMIN}{row.id}/{step}/", {"body": "{}"})
        assert (answer.status_code == 403) == (step not in allowed), step
    assert client.post(f"{ADMIN}replay/", {"reason": "x"}).status_code == (
        302 if "replay" in allowed else 403
    )
    actions = client.get(ADMIN).content.decode()
    assert ("replay_selected" in actions) == ("replay" in allowed)


def test_pages_neither_count_the_table_nor_read_bodies_for_the_list(
    operator, customer, django_assert_max_num_queries
):
    put(*(free(customer, line_no=n) for n in range(1, 61)))

    with django_assert_max_num_queries(25) as queries:
        operator.get(ADMIN)

    asked = [q["sql"] for q in queries.captured_queries if "events_quarantinedevent" in q["sql"]]
    assert asked
    assert [sql for sql in asked if "LIMIT" not in sql] == []
    assert not any('"events_quarantinedevent"."body",' in sql for sql in asked)


def test_a_body_that_is_sealed_with_another_key_is_told_to_the_operator(operator, customer):
    (row,) = put(free(customer))
    assert open_body(bytes(row.body))
    QuarantinedEvent.objects.update(body=b"x" * 60)

    page = operator.post(f"{ADMIN}{row.id}/open/", follow=True).content.decode()

    assert "key" in page
    assert "Show body" in page
