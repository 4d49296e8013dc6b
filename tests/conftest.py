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
from xdist.scheduler import LoadScopeScheduling

from access.models import ApiClient
from access.tokens import recent_tokens
from common.clock import now
from events.services.outliers import windows
from tests.events.builders import empty_event_store

Api = Callable[..., APIClient]


# Tests that share a stack, or that each drive one of their own: one worker runs them in turn, so
# that the stack is built once and no two of a kind fight over the cores. They begin first.
IN_TURN = ("e2e", "faults")
# Of the others, those whose longest files would else be left over at the end.
LONGEST_FIRST = ("twins", "ml", "events")
ROOT = Path(__file__).parent


class InTurn(LoadScopeScheduling):
    """A file stays on one worker, a folder of ``IN_TURN`` too; in the order of the collection.

    The mark ``xdist_group`` would be the usual way; with pytest 9.2 it has no effect (xdist #1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        folder = folder_of(Path(self.config.rootpath / file))
        return folder if folder in IN_TURN else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> InTurn:
    config.option.loadscopereorder = False  # it would put files of many tests first
    return InTurn(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # after pytest-django, whose order holds in a file
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    yield
    places = {name: place for place, name in enumerate(IN_TURN + LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(folder_of(item.path), len(places)))


def folder_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0] if file.is_relative_to(ROOT) else ""


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
