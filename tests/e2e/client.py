"""A client of the API as a CRM would write it: urllib, JSON and a token."""

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

PATIENCE_SECONDS = 600  # a lease that a killed worker held runs for 60


def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        time.sleep(0.1)


class Client:
    """Holds a token for every scope."""

    def __init__(self, stack: "Stack") -> None:
        self.base = stack.base
        printed = stack.manage("create_client", "e2e", "--replace").splitlines()
        secrets = dict(line.split("=", 1) for line in printed if "=" in line)
        form = {
            "grant_type": "client_credentials",
            "client_id": secrets["CLIENT_ID"],
            "client_secret": secrets["CLIENT_SECRET"],
        }
        answer = self._send(Request(f"{self.base}/oauth/token/", urlencode(form).encode()))
        self.headers = {
            "Authorization": f"Bearer {json.loads(answer)['access_token']}",
            "Content-Type": "application/json",
        }

    def get(self, url: str) -> Any:
        return json.loads(self._send(Request(self.base + url, headers=self.headers)))

    def text(self, url: str) -> str:
        return self._send(Request(self.base + url, headers=self.headers)).decode()

    def post(self, route: str, body: Any, key: str = "") -> Any:
        headers = {**self.headers, **({"Idempotency-Key": key} if key else {})}
        url = f"{self.base}/api/v1/{route}"
        return json.loads(self._send(Request(url, json.dumps(body).encode(), headers)))

    def progress(self, started: dict[str, Any]) -> float:
        """The share of a simulation that is done."""
        operation = self.get(started["links"]["self"])
        return operation["progress"]["done"] / operation["progress"]["total"]

    def result(self, started: dict[str, Any]) -> dict[str, Any]:
        """The result of a simulation, once it is there."""
        eventually(
            lambda: self.get(started["links"]["self"])["status"] == "succeeded", "it succeeds"
        )
        return self.get(started["simulation_url"])["result"]

    def metrics(self) -> list[str]:
        return self._send(Request(f"{self.base}/metrics")).decode().splitlines()

    def _send(self, request: Request) -> bytes:
        with urlopen(request, timeout=60) as answer:
            return answer.read()
