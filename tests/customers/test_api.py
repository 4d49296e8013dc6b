from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from prometheus_client import generate_latest
from prometheus_client.registry import CollectorRegistry

from customers import tasks
from customers.metrics import request_metrics
from customers.receipts import verify_receipt
from tests.conftest import Api
from tests.customers.builders import register, somebody

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("model_storage")]
NOBODY = UUID(int=1)


def key() -> dict[str, str]:
    return {"HTTP_IDEMPOTENCY_KEY": str(uuid4())}


def test_a_customer_is_registered_once_and_found_by_identity_and_pseudonym(api: Api):
    newcomer = somebody()
    writer, reader = api("identities:write"), api("identities:read")
    body = {"kind": newcomer.kind, "value": newcomer.value, "country": "GB"}

    created = writer.post("/api/v1/customers/", body)
    assert created.status_code == 201
    assert set(created.json()) == {"pseudonym", "country", "status", "registered_at"}
    again = writer.post("/api/v1/customers/", body)
    assert (again.status_code, again.json()) == (200, created.json())
    found = reader.post("/api/v1/customers/lookup/", {"kind": "email", "value": newcomer.value})
    assert found.json() == created.json()
    assert reader.get(created["Location"]).json() == created.json()


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("post", "/api/v1/customers/", "identities:read"),
        ("post", "/api/v1/customers/lookup/", "identities:write"),
        ("get", f"/api/v1/customers/{NOBODY}/", "identities:write"),
        ("post", "/api/v1/erasures/", "identities:write"),
        ("get", f"/api/v1/erasures/{NOBODY}/", "identities:write"),
    ],
)
def test_every_route_is_closed_to_a_token_without_its_scope(api: Api, method, path, scope):
    assert getattr(api(scope), method)(path, {}).status_code == 403


def test_what_is_not_there_is_a_problem_that_says_what_to_do(api: Api):
    reader = api("identities:read", "identities:write", "requests:manage")
    unknown = reader.post("/api/v1/customers/lookup/", {"kind": "email", "value": "x@y.z"})
    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/unknown-identity")
    assert "x@y.z" not in unknown.json()["detail"]
    assert reader.get(f"/api/v1/customers/{uuid4()}/").json()["type"].endswith("unknown-customer")
    assert reader.get(f"/api/v1/erasures/{uuid4()}/").json()["type"].endswith("unknown-request")
    wrong = reader.post("/api/v1/customers/", {"kind": "E-Mail", "value": "x", "country": "uk"})
    assert wrong.status_code == 400
    assert {error["pointer"] for error in wrong.json()["errors"]} == {"/kind", "/country"}
    reserved = reader.post("/api/v1/customers/", {"kind": "pseudonym", "value": "x"})
    assert (reserved.status_code, reserved.json()["type"]) == (400, "/problems/invalid-identity")


@pytest.mark.parametrize("by", ["pseudonym", "identity"])
def test_an_erasure_runs_from_the_request_to_the_signed_receipt(api: Api, by: str):
    newcomer = somebody()
    pseudonym = register(newcomer)
    client = api("requests:manage", "identities:write")
    identity = {"kind": newcomer.kind, "value": newcomer.value}
    body = {"pseudonym": str(pseudonym)} if by == "pseudonym" else {"identity": identity}
    header = key()

    asked = client.post("/api/v1/erasures/", body, **header)
    assert (asked.status_code, asked.json()["status"]) == (202, "pending")
    assert str(pseudonym) not in asked.content.decode()
    replayed = client.post("/api/v1/erasures/", body, **header)
    assert (replayed.status_code, replayed.json()) == (202, asked.json())
    assert replayed["Idempotency-Replayed"] == "true"
    twice = client.post("/api/v1/erasures/", body, **key())
    assert (twice.status_code, twice.json()["type"]) == (409, "/problems/request-already-open")

    assert tasks.run_erasure(asked.json()["id"]) == "completed"
    done = client.get(asked["Location"]).json()
    assert done["status"] == "completed"
    assert verify_receipt(done["receipt"])
    back = client.post("/api/v1/customers/", identity)
    assert (back.status_code, back.json()["type"]) == (403, "/problems/subject-suppressed")


def test_an_erasure_names_exactly_one_person_and_carries_a_key(api: Api):
    client = api("requests:manage")
    both = {"pseudonym": str(uuid4()), "identity": {"kind": "email", "value": "x"}}
    assert client.post("/api/v1/erasures/", both, **key()).status_code == 400
    assert client.post("/api/v1/erasures/", {}, **key()).status_code == 400
    missing = client.post("/api/v1/erasures/", {"pseudonym": str(uuid4())})
    assert missing.json()["type"] == "/problems/idempotency-key-missing"


def test_the_sweep_asks_for_every_erasure_that_is_unfinished(
    api: Api, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks
):
    client = api("requests:manage")
    body = {"pseudonym": str(register(somebody()))}
    request_id = client.post("/api/v1/erasures/", body, **key()).json()["id"]
    sent: list[tuple] = []
    monkeypatch.setattr("common.later.ask_now", lambda name, **kwargs: sent.append((name, kwargs)))
    with django_capture_on_commit_callbacks(execute=True):
        assert tasks.sweep_erasures() == 1
    assert sent == [("customers.run_erasure", {"request_id": request_id})]
    tasks.run_erasure(request_id)
    assert tasks.sweep_erasures() == 0


def test_open_requests_are_counted_for_prometheus(api: Api):
    class Source:
        def collect(self):
            return request_metrics()

    registry = CollectorRegistry()
    registry.register(Source())
    assert b'dtoc_requests_open{right="erasure"} 0.0' in generate_latest(registry)
    body = {"pseudonym": str(register(somebody()))}
    api("requests:manage").post("/api/v1/erasures/", body, **key())
    assert b'dtoc_requests_open{right="erasure"} 1.0' in generate_latest(registry)


def test_the_openapi_document_describes_every_route_without_a_warning(capsys):
    call_command("spectacular", validate=True)
    said = capsys.readouterr()
    assert "customers/" not in said.err
    for component in ("CustomerOutput", "ErasureOutput", "ReceiptOutput", "IdentityInput"):
        assert f"{component}" in said.out
