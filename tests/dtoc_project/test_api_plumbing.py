"""What every route of the API does alike: problems, request ids, scopes, idempotency, health."""

import importlib
import json
import pkgutil
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from openapi_spec_validator import OpenAPIV31SpecValidator

import access
import campaigns
import common
import customers
import events
import twins
from access.scopes import SCOPES
from common.errors import DtocError
from common.operations import create_operation
from dtoc_project.problems import STATUS_OF
from tests.builders import NOON
from tests.conftest import Api

pytestmark = pytest.mark.django_db


def all_errors(base: type[DtocError] = DtocError) -> set[type[DtocError]]:
    for package in (access, campaigns, common, customers, events, twins):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.endswith("errors"):
                importlib.import_module(module.name)
    found = set()
    for kind in base.__subclasses__():
        found |= {kind} | all_errors(kind)
    return found


def routes(patterns=None, prefix="") -> list[tuple[str, object]]:
    found = []
    for entry in patterns if patterns is not None else get_resolver().url_patterns:
        path = f"{prefix}{entry.pattern}"
        if isinstance(entry, URLResolver):
            found += routes(entry.url_patterns, path)
        elif isinstance(entry, URLPattern):
            found.append((path, entry.callback))
    return found


def test_every_error_has_a_status():
    own = {e for e in all_errors() if "code" in e.__dict__}

    assert {e.__name__ for e in own if e not in STATUS_OF} == set()


def test_errors_that_share_a_code_mean_the_same_to_a_caller():
    statuses: dict[str, set[int]] = {}
    for error, status in STATUS_OF.items():
        statuses.setdefault(error.code, set()).add(status)

    assert {code: found for code, found in statuses.items() if len(found) > 1} == {}


def test_every_api_route_names_scopes_that_exist():
    views = [(path, getattr(v, "cls", None)) for path, v in routes() if path.startswith("api/v1/")]

    assert views
    for path, view in views:
        named = view.required_scopes
        scopes = (
            [s for group in named.values() for s in group] if isinstance(named, dict) else named
        )
        assert scopes, path
        assert set(scopes) <= set(SCOPES), path


def test_without_a_token_the_api_answers_401_and_says_how_to_get_one():
    answer = Client().get(f"/api/v1/operations/{uuid4()}/")

    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert "/oauth/token/" in answer.json()["detail"]


def test_an_unknown_token_answers_401():
    headers = {"Authorization": "Bearer nonsense"}
    answer = Client().get(f"/api/v1/operations/{uuid4()}/", headers=headers)

    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"


def test_a_token_without_the_scope_answers_403(api: Api):
    answer = api("events:write").get(f"/api/v1/operations/{uuid4()}/")

    assert answer.status_code == 403
    assert answer.json()["type"] == "/problems/permission-denied"


def test_an_unknown_operation_is_a_problem_document_with_the_request_id(api: Api):
    answer = api("campaigns:read").get(
        f"/api/v1/operations/{uuid4()}/", headers={"X-Request-Id": "my-request-1"}
    )

    body = answer.json()
    assert answer.status_code == body["status"] == 404
    assert body["type"] == "/problems/unknown-operation"
    assert body["request_id"] == answer["X-Request-Id"] == "my-request-1"


def test_a_request_id_that_could_forge_log_lines_is_replaced():
    answer = Client().get("/livez", headers={"X-Request-Id": "evil id with spaces"})

    assert answer["X-Request-Id"] != "evil id with spaces"


def test_an_operation_shows_its_progress_and_can_be_cancelled(api: Api):
    operation = create_operation(
        kind="test", unit="customers", total=30, chunks=3, requested_by="me", payload={}, at=NOON
    )
    client = api("campaigns:read", "simulations:run")

    shown = client.get(f"/api/v1/operations/{operation.id}/").json()
    cancelled = client.post(shown["links"]["cancel"])
    again = client.post(shown["links"]["cancel"])

    assert shown["progress"] == {"done": 0, "total": 30, "unit": "customers"}
    assert cancelled.json()["status"] == "cancelled"
    assert again.status_code == 409


def test_an_unknown_route_of_the_api_is_a_problem_document():
    answer = Client().get("/api/v1/nonsense/")

    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


def test_the_type_of_a_problem_leads_to_its_documentation():
    assert Client().get("/problems/unknown-operation").json()["status"] == 404
    assert Client().get("/problems/parse-error").json()["status"] == 400
    assert Client().get("/problems/nonsense").status_code == 404


def test_the_schema_is_valid_openapi_3_1_and_lists_the_scopes():
    answer = Client().get("/api/schema/", headers={"Accept": "application/json"})

    schema = json.loads(answer.content)
    OpenAPIV31SpecValidator(schema).validate()
    assert schema["openapi"].startswith("3.1")
    security = schema["paths"]["/api/v1/operations/{operation_id}/"]["get"]["security"]
    assert {"oauth2": ["campaigns:read"]} in security


def test_the_schema_is_made_without_warnings(capsys):
    Client().get("/api/schema/")

    assert capsys.readouterr().err == ""


def test_health_and_metrics_answer_without_a_token():
    assert Client().get("/livez").json() == {"status": "alive"}
    ready = Client().get("/readyz")
    assert ready.status_code == 200, ready.content
    assert b"dtoc_twin_lag_events" in Client().get("/metrics").content


def test_every_figure_is_told_once():
    lines = Client().get("/metrics").content.decode().splitlines()

    told = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert sorted(told) == sorted(set(told))


def test_a_method_that_a_route_does_not_have_answers_405(api: Api):
    answer = api("campaigns:read").put("/api/v1/campaigns/", {})  # names scopes by method

    assert answer.status_code == 405
    assert "GET" in answer["Allow"]


def test_the_interactive_docs_load_nothing_from_elsewhere():
    page = Client().get("/api/docs/").content.decode()

    assert "swagger-ui" in page
    assert "https://" not in page


def test_readiness_names_what_is_missing(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    answer = Client().get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["checks"]["redis"]["ok"] is False
