"""The ground of every test: real servers (``tests.settings``) and real access tokens."""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings as project_settings
from django.db import connection
from oauth2_provider.models import get_access_token_model
from rest_framework.test import APIClient

from access.models import ApiClient
from access.tokens import recent_tokens
from common.clock import now
from events.services.outliers import windows
from tests.events.builders import empty_event_store

Api = Callable[..., APIClient]


# What takes longest begins first, so that no worker is left with it at the end.
LONGEST_FIRST = ("e2e", "faults", "twins", "ml")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file stays together; the tests that drive a whole stack share one."""

    def folder(item: pytest.Item) -> str:
        return item.path.relative_to(Path(__file__).parent).parts[0]

    for item in items:
        group = "the stack" if folder(item) == "e2e" else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(folder(item), len(places)))


@pytest.fixture(autouse=True)
def _nothing_remembered_from_another_test() -> None:
    recent_tokens.clear()
    windows.clear()


@pytest.fixture(autouse=True)
def _no_committed_event_outlives_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Which test comes next in this process is the distribution's choice, not ours."""
    marker = request.node.get_closest_marker("django_db")
    commits = marker is not None and marker.kwargs.get("transaction", False)
    if commits or "transactional_db" in request.fixturenames:
        request.getfixturevalue("transactional_db")
        yield
        empty_event_store()
    else:
        yield


@pytest.fixture
def api(db: None) -> Api:
    """``api("events:write", ...)`` is a client of the API whose token carries those scopes."""

    def client_with(*scopes: str) -> APIClient:
        application = ApiClient.objects.create(
            name=f"test client for {' '.join(scopes) or 'nothing'}",
            client_type="confidential",
            authorization_grant_type="client-credentials",
            allowed_scopes=" ".join(scopes),
        )
        token = get_access_token_model().objects.create(
            application=application,
            token=f"token-{application.pk}",
            scope=" ".join(scopes),
            expires=now() + timedelta(hours=1),
        )
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token.token}")
        return client

    return client_with


@pytest.fixture
def environment(db: None) -> dict[str, str]:
    """What a subprocess (``manage.py``, a worker) needs to work on the database of this test.

    Such a test needs ``django_db(transaction=True)``: others never commit.
    """
    found = connection.settings_dict
    user, name, host = (quote(str(found[k]), safe="") for k in ("USER", "NAME", "HOST"))
    url = f"postgresql://{user}:{quote(str(found['PASSWORD']), safe='')}@/{name}?host={host}"
    if found["PORT"]:
        url += f"&port={found['PORT']}"
    return {
        **os.environ,
        "DTOC_DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "dtoc_project.settings",
    }


@pytest.fixture
def model_storage(tmp_path: Path, settings: Any) -> Path:
    """Model artefacts of this test lie in a folder of its own."""
    models = {**settings.STORAGES["models"], "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = {**settings.STORAGES, "models": models}  # storages are made anew
    return tmp_path


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder of the public data sets beside the checkout."""
    folder = Path(project_settings.BASE_DIR).parent / "shared" / "data"
    if not folder.exists():
        pytest.fail(
            f"{folder} is missing: tests marked `data` need it (deselect with -m 'not data')"
        )
    return folder
