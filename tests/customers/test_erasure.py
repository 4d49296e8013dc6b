import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
import redis
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connection

from common.models import IdempotencyRecord, Operation
from customers import erasure, services, vault
from customers.erasure import Finding, Store, register_store
from customers.errors import (
    IdentitySuppressed,
    NotOfThisRequest,
    RequestAlreadyOpen,
    UnknownCustomer,
    UnknownRequest,
)
from customers.identities import Newcomer
from customers.models import Customer, DataSubjectRequest, Identity, SubjectKey
from customers.receipts import verify_receipt
from customers.scan.redis import connected, count_in_redis
from customers.selectors import (
    due_erasures,
    existing_pseudonyms,
    resolve_identities,
    suppressed_pseudonyms,
)
from customers.services import erase as module
from customers.services import repeat_scan, run_erasure, verify_erasure
from tests.builders import DAY, HOUR, NOON
from tests.customers.builders import register, somebody

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("model_storage")]


def begin(pseudonym: UUID) -> DataSubjectRequest:
    return services.begin_erasure(pseudonym=pseudonym, requested_by="a test", at=NOON)


def erase(pseudonym: UUID) -> DataSubjectRequest:
    return services.erase_now(pseudonym=pseudonym, requested_by="a test", at=NOON)


def places(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(found.place, found.what) for found in findings}


def operation(payload: dict) -> Operation:
    """A row of a table that no store looks after."""
    return Operation.objects.create(
        kind="test", unit="rows", total=1, payload=payload, created_at=NOON, expires_at=NOON + DAY
    )


@pytest.fixture
def extra_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores that a test registers are forgotten after it."""
    monkeypatch.setattr(erasure, "_stores", dict(erasure._stores))


def test_an_erased_person_is_gone_and_the_receipt_proves_it():
    newcomer = somebody()
    pseudonym = register(newcomer)
    request = erase(pseudonym)

    assert request.status == "completed"
    times = [step["done_at"] for step in request.steps]
    assert times == sorted(times)
    assert NOON < request.completed_at < NOON + HOUR
    assert not Customer.objects.filter(pseudonym=pseudonym).exists()
    assert not Identity.objects.filter(customer_id=pseudonym).exists()
    assert not SubjectKey.objects.filter(customer_id=pseudonym).exists()
    assert request.pseudonym is None
    assert request.sealed_identities is None
    assert verify_receipt(request.receipt)
    body = request.receipt["body"]
    assert body["destroyed"] == {"identities": 1, "keys": 1}
    assert body["scan"]["clean"] is True
    assert body["scan"]["tables"] > 10
    assert "1 identity values, anywhere" in body["scan"]["searched_for"]
    told = json.dumps([request.receipt, request.steps])
    for secret in (str(pseudonym), pseudonym.hex, newcomer.value):
        assert secret not in told


def test_a_planted_identity_is_found_wherever_it_is_until_it_is_erased():
    """It was there before it is gone: in another table, in Redis, in a model's file."""
    newcomer = somebody()
    pseudonym = register(newcomer)
    planted = operation({"note": f"call {newcomer.value.upper()} back"})
    storages["models"].save(f"{uuid4()}/notes.txt", ContentFile(newcomer.value.encode()))
    key = f"test:{uuid4()}"
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.set(key, newcomer.value)

        request = erase(pseudonym)
        assert request.status == "in_progress"
        assert request.receipt is None
        assert ("common_operation.payload", "identity value") in places(verify_erasure_of(request))
        what = {place.split(":")[0] for place, what in found(request) if what == "identity value"}
        assert what == {"common_operation.payload", "redis", "models"}
        client.delete(key)
    planted.delete()
    folders, _ = storages["models"].listdir("")
    storages["models"].delete(f"{folders[0]}/notes.txt")

    request = run_erasure(request_id=request.id, at=NOON + HOUR)
    assert request.status == "completed"
    assert request.findings == []
    assert request.receipt["body"]["attempts"] == 2
    assert verify_erasure(request_id=request.id, identities=[newcomer.key]) == []


def verify_erasure_of(request: DataSubjectRequest) -> list[Finding]:
    return verify_erasure(request_id=request.id)


def found(request: DataSubjectRequest) -> set[tuple[str, str]]:
    return {(finding["place"], finding["what"]) for finding in request.findings}


def test_what_names_the_pseudonym_goes_with_the_person():
    pseudonym, other = register(somebody()), register(somebody())
    user = User.objects.create(username=f"user-{uuid4()}")
    for whose in (pseudonym, other):
        IdempotencyRecord.objects.create(
            client="c", key=str(uuid4()), status=201, body={"p": str(whose)}, created_at=NOON
        )
        LogEntry.objects.create(user=user, object_id=str(whose), object_repr="x", action_flag=2)
    queue, own, table = (f"test:{uuid4()}" for _ in range(3))
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.rpush(queue, f"about {pseudonym}", f"about {other}")
        client.hset(table, mapping={str(pseudonym): "x", "kept": str(other)})
        client.set(f"{own}:{pseudonym}", "hot state")

        request = erase(pseudonym)

        assert client.lrange(queue, 0, -1) == [f"about {other}".encode()]
        assert client.hgetall(table) == {b"kept": str(other).encode()}
        assert not client.exists(f"{own}:{pseudonym}")
        client.delete(queue, table)
    stores = request.receipt["body"]["stores"]
    assert stores["common.answers"] == {"found": 1, "deleted": 1}
    assert stores["admin.log"] == {"found": 1, "deleted": 1}
    assert stores["redis"] == {"found": 3, "deleted": 3}
    assert IdempotencyRecord.objects.filter(body__p=str(other)).exists()


def test_a_pseudonym_is_found_and_removed_in_every_kind_of_redis_value_and_database():
    pseudonym, mark = register(somebody()), f"test:{uuid4()}"
    body = base64.b64encode(json.dumps([[str(pseudonym)], {}]).encode()).decode()
    message = json.dumps({"body": body, "properties": {"body_encoding": "base64"}})
    with connected(1) as client:
        client.set(f"{mark}:raw", b"\x00" + pseudonym.bytes + b"\xff")
        client.sadd(f"{mark}:set", pseudonym.hex.upper(), "other")
        client.zadd(f"{mark}:zset", {str(pseudonym): 1, "other": 2})
        client.xadd(f"{mark}:stream", {"who": str(pseudonym)})
        client.xadd(f"{mark}:stream", {"who": "other"})
        client.rpush(f"{mark}:queue", message, "other")
        client.hset(f"{mark}:unacked", "tag", json.dumps([message, "exchange"]))
        assert count_in_redis(pseudonym) == 6

        request = erase(pseudonym)

        assert request.receipt["body"]["stores"]["redis"] == {"found": 6, "deleted": 6}
        left = {key.rpartition(b":")[2] for key in client.scan_iter(f"{mark}:*")}
        assert left == {b"set", b"zset", b"stream", b"queue"}
        client.delete(*client.scan_iter(f"{mark}:*"))


def test_an_erased_person_is_not_registered_again():
    newcomer = somebody()
    pseudonym = register(newcomer)
    erase(pseudonym)
    assert resolve_identities([newcomer.key]).suppressed == {newcomer.key}
    assert suppressed_pseudonyms([pseudonym, uuid4()]) == {pseudonym}
    with pytest.raises(IdentitySuppressed):
        services.register_customer(newcomer=newcomer, at=NOON + DAY)
    assert services.register_customers(newcomers=[newcomer], at=NOON + DAY) == {}


class Crash(Exception):
    """The process dies."""


def crash_at(monkeypatch: pytest.MonkeyPatch, number: int, *, before_commit: bool) -> list[str]:
    """The run dies in (or right after) its ``number``-th step; returns the steps begun."""
    begun: list[str] = []

    def dying(original: Callable) -> Callable:
        def step(*args, **kwargs) -> None:
            begun.append(getattr(args[0], "name", original.__name__))
            if len(begun) == number and before_commit:
                monkeypatch.setattr(DataSubjectRequest, "save", die)
            original(*args, **kwargs)
            if len(begun) == number:
                raise Crash

        return step

    def die(self, **kwargs) -> None:
        raise Crash

    for name in ("_do", "_verify", "_complete"):
        monkeypatch.setattr(module, name, dying(getattr(module, name)))
    return begun


def number_of_steps() -> int:
    return len(module.all_steps()) + 2


@pytest.mark.parametrize("before_commit", [False, True])
def test_an_erasure_that_dies_at_any_step_is_completed_by_running_it_again(before_commit: bool):
    for number in range(1, number_of_steps() + 1):
        newcomer = somebody()
        pseudonym = register(newcomer)
        request = begin(pseudonym)
        with pytest.MonkeyPatch.context() as monkeypatch:
            crash_at(monkeypatch, number, before_commit=before_commit)
            with pytest.raises(Crash):
                run_erasure(request_id=request.id, at=NOON)
        request.refresh_from_db()
        is_over = number == number_of_steps() and not before_commit
        assert (request.status == "completed") == is_over
        assert (request.receipt is not None) == is_over

        request = run_erasure(request_id=request.id, at=NOON + HOUR)
        assert request.status == "completed"
        names = [step["name"] for step in request.steps]
        assert len(names) == len(set(names)) == number_of_steps()
        body = request.receipt["body"]
        assert body["destroyed"] == {"identities": 1, "keys": 1}
        # The values outlive a crash after their destruction, so the scan could still look for them.
        assert "1 identity values, anywhere" in body["scan"]["searched_for"]
        assert verify_erasure(request_id=request.id, pseudonym=pseudonym) == []


def test_the_third_step_has_destroyed_key_and_identities_and_the_customer_exists_for_nobody():
    pseudonym = register(somebody())
    request = begin(pseudonym)
    with pytest.MonkeyPatch.context() as monkeypatch:
        begun = crash_at(monkeypatch, 3, before_commit=False)
        with pytest.raises(Crash):
            run_erasure(request_id=request.id, at=NOON)
    assert begun == ["suppress", "close stream", "destroy identities"]
    assert Customer.objects.get(pseudonym=pseudonym).status == "erased"
    assert existing_pseudonyms([pseudonym]) == set()
    assert not Identity.objects.filter(customer_id=pseudonym).exists()
    assert not SubjectKey.objects.filter(customer_id=pseudonym).exists()


def test_running_a_completed_erasure_again_changes_nothing():
    request = erase(register(somebody()))
    again = run_erasure(request_id=request.id, at=NOON + DAY)
    assert (again.receipt, again.steps, again.completed_at) == (
        request.receipt,
        request.steps,
        request.completed_at,
    )


def test_a_store_that_fails_leaves_the_erasure_open_and_its_own_work_undone(extra_stores):
    pseudonym = register(somebody())
    planted = operation({})

    def fail(pseudonym: UUID, request_id: UUID) -> int:
        planted.delete()
        raise RuntimeError("the store is away")

    register_store(Store("test", lambda p: 0, fail, lambda needles: []))
    request = begin(pseudonym)
    with pytest.raises(RuntimeError):
        run_erasure(request_id=request.id, at=NOON)
    request.refresh_from_db()
    assert request.status == "in_progress"
    assert Operation.objects.filter(kind="test").exists()
    assert due_erasures(NOON) == [request.id]


def test_a_registered_store_is_erased_counted_and_scanned(extra_stores):
    pseudonym = register(somebody())
    rows = {pseudonym: 3}
    seen: list[UUID] = []

    def wipe(pseudonym: UUID, request_id: UUID) -> int:
        running = DataSubjectRequest.objects.get(id=request_id)
        assert (running.status, running.pseudonym) == ("in_progress", pseudonym)
        return rows.pop(pseudonym, 0)

    def scan(needles: erasure.Needles) -> list[Finding]:
        seen.append(needles.pseudonym)
        assert vault.pseudonym_digest(pseudonym) in needles.digests
        return []

    register_store(Store("test", lambda p: rows.get(p, 0), wipe, scan))
    request = erase(pseudonym)
    assert request.receipt["body"]["stores"]["test"] == {"found": 3, "deleted": 3}
    assert seen == [pseudonym]
    with pytest.raises(ValueError, match="test"):
        register_store(Store("test", lambda p: 1, wipe, scan))


def test_what_comes_in_late_is_erased_by_the_next_attempt(extra_stores):
    pseudonym = register(somebody())
    rows: list[UUID] = []

    def wipe(pseudonym: UUID, request_id: UUID) -> int:
        gone = len(rows)
        rows.clear()
        return gone

    def scan_while_a_row_arrives(needles: erasure.Needles) -> list[Finding]:
        if not arrived:
            arrived.append(True)
            rows.append(needles.pseudonym)
        return [Finding("test", "pseudonym", len(rows))] if rows else []

    arrived: list[bool] = []
    register_store(Store("test", lambda p: len(rows), wipe, scan_while_a_row_arrives))
    request = erase(pseudonym)
    assert request.status == "in_progress"
    assert due_erasures(NOON) == []
    assert due_erasures(request.retry_at) == [request.id]

    request = run_erasure(request_id=request.id, at=request.retry_at)
    assert request.status == "completed"
    assert request.receipt["body"]["stores"]["test"] == {"found": 1, "deleted": 1}


def test_a_request_is_due_in_a_month_and_opened_once():
    pseudonym = register(somebody())
    request = begin(pseudonym)
    assert request.due_at == datetime(2011, 6, 2, 12, tzinfo=UTC)
    with pytest.raises(RequestAlreadyOpen, match=str(request.id)):
        begin(pseudonym)
    with pytest.raises(UnknownCustomer):
        begin(uuid4())
    with pytest.raises(UnknownRequest):
        run_erasure(request_id=uuid4(), at=NOON)


@pytest.mark.parametrize(
    ("day", "due"),
    [((2011, 1, 31), (2011, 2, 28)), ((2011, 12, 5), (2012, 1, 5)), ((2012, 1, 30), (2012, 2, 29))],
)
def test_a_month_ends_with_the_shorter_month(day: tuple, due: tuple):
    assert module.a_month_after(datetime(*day, tzinfo=UTC)) == datetime(*due, tzinfo=UTC)


def test_an_identity_that_no_longer_opens_is_erased_and_the_receipt_says_what_was_not_sought():
    pseudonym = register(somebody())
    Identity.objects.filter(customer_id=pseudonym).update(ciphertext=b"damaged")
    request = erase(pseudonym)
    assert request.status == "completed"
    scan = request.receipt["body"]["scan"]
    assert "1 identity values that are no longer known" in scan["not_searched_for"]


def test_a_completed_request_finds_a_pseudonym_that_comes_back_by_its_hash_alone():
    pseudonym = register(somebody())
    request = erase(pseudonym)
    assert verify_erasure(request_id=request.id) == []
    operation({"who": str(pseudonym)})
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE leak (a uuid, b bytea, c text[], d bytea)")
        cursor.execute(
            "INSERT INTO leak VALUES (%s, %s, %s, %s)",
            [pseudonym, pseudonym.bytes, [pseudonym.hex.upper()], str(pseudonym).encode()],
        )
    storages["models"].save("weights", ContentFile(b"\x00\xff" + str(pseudonym).encode()))
    report = repeat_scan(request_id=request.id)
    expected = {
        "common_operation.payload",
        "leak.a",
        "leak.b",
        "leak.c",
        "leak.d",
        "models:weights",
    }
    assert places(report.findings) == {(place, "pseudonym") for place in expected}
    assert any("raw bytes" in line for line in report.not_searched_for)


def test_a_later_scan_searches_for_what_is_named_and_refuses_what_is_somebody_elses():
    newcomer, other = somebody(), somebody()
    pseudonym = register(newcomer)
    request = erase(pseudonym)
    operation({"note": newcomer.value, "blob": "x"})
    assert verify_erasure(request_id=request.id) == []
    named = verify_erasure(request_id=request.id, identities=[newcomer.key])
    assert places(named) == {("common_operation.payload", "identity value")}
    with pytest.raises(NotOfThisRequest):
        verify_erasure(request_id=request.id, identities=[other.key])
    with pytest.raises(NotOfThisRequest):
        verify_erasure(request_id=request.id, pseudonym=uuid4())


def test_a_customer_number_that_is_also_an_article_number_does_not_stop_an_erasure():
    number = Newcomer(kind="crm_id", value="17003")
    pseudonym = register(number)
    operation({"sku": "17003"})
    request = erase(pseudonym)
    assert request.status == "completed"
    blind = request.receipt["body"]["scan"]["not_searched_for"]
    assert "short identity values that stand without their kind" in blind

    operation({"customer": {"kind": "crm_id", "value": "17003"}})
    found = verify_erasure(request_id=request.id, identities=[number.key])
    assert places(found) == {("common_operation.payload", "identity value")}


def test_the_digest_of_an_erased_identity_is_found_outside_the_suppressions():
    newcomer = somebody()
    request = erase(register(newcomer))
    operation({"digest": vault.identity_digest(*newcomer.key).hex()})
    assert places(verify_erasure_of(request)) == {("common_operation.payload", "digest")}
