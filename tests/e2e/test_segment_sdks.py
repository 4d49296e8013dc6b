"""Segment's official SDKs, as companies have them, against a running DToC."""

import json
import shutil
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from dtoc_project.supervisor import ROOT
from tests.e2e.client import Client
from tests.e2e.conftest import Stack
from tests.e2e.front import BUSY, DROP, LOSE, Front

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_800)]  # the stack's beginning is in it
NODE = ROOT / "tests/e2e/segment_node"
PATIENCE_SECONDS = 90

ORDER = {
    "order_id": "A-17",
    "currency": "EUR",
    "products": [
        {"sku": "g-32", "price": 18.99, "quantity": 1},
        {"sku": "g-33", "price": 3, "quantity": 2},
    ],
}


class Sdk:
    """One of the SDKs in a process of its own."""

    def __init__(self, command: list[str]) -> None:
        self.command = command

    def send(
        self, host: str, key: str, messages: list[dict[str, Any]], **options: Any
    ) -> dict[str, Any]:
        """What the SDK says: its errors, and how many messages it counts as delivered."""
        chosen = {"batch": 100, "retries": 5, "gzip": False, "patience_seconds": PATIENCE_SECONDS}
        told = {"host": host, "key": key, "messages": messages, "options": {**chosen, **options}}
        done = subprocess.run(
            self.command, input=json.dumps(told), cwd=ROOT, capture_output=True, text=True,
            timeout=2 * PATIENCE_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="package")
def node_sdk() -> Sdk:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.fail(
                f"{program} is missing: the tests of Segment's SDK for Node need Node.js 20 or "
                "newer with npm; install both and run again"
            )
    done = subprocess.run(["npm", "ci"], cwd=NODE, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(
            f"`npm ci` failed in {NODE.relative_to(ROOT)}; it needs npm's registry:\n{done.stderr}"
        )
    return Sdk(["node", str(NODE / "send.mjs")])


@pytest.fixture(scope="package")
def python_sdk() -> Sdk:
    return Sdk([sys.executable, str(Path(__file__).with_name("segment_python.py"))])


@pytest.fixture(params=["python", "node"])
def sdk(request: pytest.FixtureRequest) -> Sdk:
    return request.getfixturevalue(f"{request.param}_sdk")


@pytest.fixture(scope="package")
def key(stack: Stack) -> str:
    """Of one source for all tests, which tell themselves apart by their users."""
    return write_key(stack)


@pytest.fixture
def user() -> str:
    return f"user-{uuid4()}"


def write_key(stack: Stack, *options: str) -> str:
    printed = stack.manage("create_write_key", f"sdk-{uuid4()}", *options)
    return printed.strip().removeprefix("WRITE_KEY=")


def views(user: str, count: int = 1, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "kind": "track", "userId": user, "event": "Product Viewed",
            "properties": {"sku": f"G-{n}"}, **more,
        }
        for n in range(count)
    ]  # fmt: skip


def stored(client: Client, user: str) -> list[dict[str, Any]]:
    """The customer's events as the native feed shows them, without the registration."""
    found = client.post("customers/lookup/", {"kind": "user_id", "value": user})
    page = client.get(f"/api/v1/events/?pseudonym={found['pseudonym']}&limit=500")
    return [event for event in page["results"] if event["type"] != "customer_registered"]


def skus(client: Client, user: str) -> Counter[str]:
    return Counter(event["data"]["sku"] for event in stored(client, user))


def test_what_an_sdk_sends_arrives_as_the_right_events(
    sdk: Sdk, stack: Stack, client: Client, key: str, user: str
):
    messages = [
        {"kind": "identify", "userId": user, "traits": {"email": f"{user}@example.org"}},
        {"kind": "page", "userId": user, "name": "Home"},
        *views(user),
        {"kind": "track", "userId": user, "event": "Order Completed", "properties": ORDER},
        {"kind": "track", "userId": user, "event": "Song Played", "properties": {"title": "Aria"}},
        {"kind": "group", "userId": user, "groupId": "initech"},
    ]

    said = sdk.send(stack.base, key, messages)

    assert said == {"errors": [], "delivered": 6}
    events = stored(client, user)
    assert Counter(event["type"] for event in events) == {
        "page_viewed": 1, "item_viewed": 1, "item_purchased": 2, "song_played": 1,
        "group_joined": 1,
    }  # fmt: skip
    assert "example.org" not in json.dumps(events)
    assert [e["data"]["sku"] for e in events if e["type"] == "item_purchased"] == ["G-32", "G-33"]


def test_what_an_sdk_sends_packed_arrives_too(
    python_sdk: Sdk, stack: Stack, client: Client, key: str, user: str
):
    said = python_sdk.send(stack.base, key, views(user, 40), gzip=True)

    assert said == {"errors": [], "delivered": 40}
    assert skus(client, user) == {f"G-{n}": 1 for n in range(40)}


def test_a_device_becomes_its_user_with_an_alias(
    sdk: Sdk, stack: Stack, client: Client, key: str, user: str
):
    device = f"device-{user}"

    sdk.send(stack.base, key, [{**views(user)[0], "userId": None, "anonymousId": device}])
    sdk.send(stack.base, key, [{"kind": "alias", "userId": user, "previousId": device}])

    assert skus(client, user) == {"G-0": 1}


def test_an_invalid_event_is_told_to_the_sender_once(
    sdk: Sdk, stack: Stack, client: Client, key: str, user: str
):
    too_much = {str(n): n for n in range(301)}
    with Front(stack.base) as front:
        said = sdk.send(front.base, key, views(user, properties=too_much))

    assert front.statuses == [400]
    assert said["delivered"] == 0
    assert len(said["errors"]) == 1
    assert "400" in said["errors"][0]


def test_a_wrong_key_is_told_to_the_sender_once(sdk: Sdk, stack: Stack, user: str):
    with Front(stack.base) as front:
        said = sdk.send(front.base, "dwk_nonsense", views(user))

    assert front.statuses == [401]
    assert said["delivered"] == 0
    assert "401" in said["errors"][0]


def test_who_is_rate_limited_waits_and_loses_nothing(
    sdk: Sdk, stack: Stack, client: Client, user: str
):
    key = write_key(stack, "--events-per-second", "5", "--burst", "5")
    with Front(stack.base) as front:
        said = sdk.send(front.base, key, views(user, 15), batch=5)

    assert said == {"errors": [], "delivered": 15}
    assert front.statuses.count(200) == 3
    assert 429 in front.statuses
    assert skus(client, user) == {f"G-{n}": 1 for n in range(15)}


def test_a_server_that_is_down_for_a_while_gets_everything_once(
    sdk: Sdk, stack: Stack, client: Client, key: str, user: str
):
    with Front(stack.base, plan=(DROP, DROP, BUSY)) as front:
        said = sdk.send(front.base, key, views(user, 3))

    assert front.statuses == [0, 0, 503, 200]
    assert said == {"errors": [], "delivered": 3}
    assert skus(client, user) == {"G-0": 1, "G-1": 1, "G-2": 1}


def test_an_answer_that_was_lost_on_its_way_stores_nothing_twice(
    sdk: Sdk, stack: Stack, client: Client, key: str, user: str
):
    """The server stored the batch, the sender never heard of it and sends it again."""
    with Front(stack.base, plan=(LOSE,)) as front:
        said = sdk.send(front.base, key, views(user, 3))

    assert front.statuses == [0, 200]
    assert said == {"errors": [], "delivered": 3}
    assert skus(client, user) == {"G-0": 1, "G-1": 1, "G-2": 1}


def test_a_server_that_stays_down_is_told_as_a_failure(sdk: Sdk, stack: Stack, user: str):
    with socket.socket() as taken:  # bound and not listening: nobody answers, nobody moves in
        taken.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
        said = sdk.send(nowhere, "dwk_any", views(user), retries=2)

    assert said["delivered"] == 0
    assert len(said["errors"]) == 1
