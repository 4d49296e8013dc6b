"""Who sends too much is told when to come back; who does not, is never in the way."""

import logging
import math
from uuid import uuid4

import pytest
import redis
from django.conf import settings as project_settings
from django.urls import path
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access import rate_limits
from access.api.limits import RateLimited
from access.rate_limits import RateLimit, Window, take

TEN_AT_ONCE = RateLimit(per_second=1, burst=10)


@pytest.fixture
def who() -> str:
    return f"somebody-{uuid4()}"


@pytest.fixture(autouse=True)
def _redis_is_there():
    rate_limits.outage.end()
    yield
    rate_limits.outage.end()


def let_pass(who: str, seconds: float) -> None:
    """The counters of ``who`` are as they will be in so many seconds."""
    with redis.Redis.from_url(project_settings.REDIS_URL) as client:
        for key in client.keys(f"*{who}*"):
            client.pexpire(key, max(1, client.pttl(key) - round(seconds * 1000)))


def test_a_burst_is_let_through_and_one_event_more_is_not(who: str):
    assert take(TEN_AT_ONCE, who, 4).allowed
    assert take(TEN_AT_ONCE, who, 6).allowed
    assert not take(TEN_AT_ONCE, who, 1).allowed


def test_a_refused_request_takes_nothing(who: str):
    take(TEN_AT_ONCE, who, 8)

    assert not take(TEN_AT_ONCE, who, 3).allowed
    assert take(TEN_AT_ONCE, who, 2).allowed


def test_senders_do_not_disturb_each_other(who: str):
    take(TEN_AT_ONCE, who, 10)

    assert take(TEN_AT_ONCE, f"not {who}", 10).allowed


def test_the_headers_tell_the_policy_what_is_left_and_when_to_come_back(who: str):
    first, refused = take(TEN_AT_ONCE, who, 8), take(TEN_AT_ONCE, who, 3)

    assert first.headers() == {
        "RateLimit-Policy": '"events";q=10;w=10',
        "RateLimit": '"events";r=2;t=10',
    }
    # The window ends after 10 s; from then on its 8 fade, and less than 8 is room enough for 3.
    assert refused.headers()["Retry-After"] in ("10", "11")  # by how many milliseconds passed
    assert refused.headers()["RateLimit"] == '"events";r=2;t=10'


def test_who_waited_as_long_as_told_is_let_through_and_not_much_earlier(who: str):
    take(TEN_AT_ONCE, who, 8)
    wait = take(TEN_AT_ONCE, who, 7).retry_after_seconds

    let_pass(who, wait - 2)
    assert not take(TEN_AT_ONCE, who, 7).allowed
    let_pass(who, 2)
    assert take(TEN_AT_ONCE, who, 7).allowed


def test_a_batch_larger_than_the_burst_is_let_through_when_nothing_was_sent(who: str):
    assert take(TEN_AT_ONCE, who, 2_500).allowed
    assert not take(TEN_AT_ONCE, who, 1).allowed


def test_a_rate_of_zero_is_no_limit(who: str):
    free = RateLimit(per_second=0, burst=1)

    assert all(take(free, who, 100).allowed for _ in range(3))
    assert take(free, who, 100).headers() == {}


def test_without_redis_everything_passes_and_the_log_says_so_once(
    who: str, settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(rate_limits, "PAUSE_SECONDS", 0.0)  # it is asked every time

    with caplog.at_level(logging.WARNING, "dtoc.access"):
        standings = [take(RateLimit(1, 1), who, 1) for _ in range(3)]

    assert all(standing.allowed for standing in standings)
    assert [record.message for record in caplog.records] == ["rate limits are off"]


def test_a_redis_that_failed_is_left_alone_for_a_while(who: str, settings):
    there = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    take(TEN_AT_ONCE, who, 1)
    settings.REDIS_URL = there

    assert take(TEN_AT_ONCE, who, 10).headers() == {}


@given(
    previous=st.integers(0, 100),
    current=st.integers(0, 100),
    passed=st.floats(0, 10),
    cost=st.integers(1, 100),
)
def test_the_wait_that_is_told_is_enough_and_at_most_a_second_too_long(
    previous: int, current: int, passed: float, cost: int
):
    # The previous window ended when this one began, so it has faded as long as this one has run.
    window = Window(100, 10, previous, 10 - passed, current, 10 - passed)
    if window.used + cost <= window.limit:
        return

    wait = window.wait_seconds(cost)

    def used(after: float) -> int:
        """What counts after so many seconds, nobody having sent anything."""
        if after < window.current_ends_in:
            fading = previous * max(0.0, window.previous_fades_in - after) / 10
            return math.floor(fading) + current
        return math.floor(current * max(0.0, 1 - (after - window.current_ends_in) / 10))

    assert used(wait + 1e-6) + cost <= 100
    if wait > 1:
        assert used(wait - 1 - 1e-6) + cost > 100


class Sending(RateLimited, APIView):
    """A view of the native API that takes as many events as it is told."""

    permission_classes = (AllowAny,)

    def post(self, request: Request) -> Response:
        self.spend_as_client(request, int(request.query_params["events"]))
        return Response({"stored": True}, status=201)


def test_a_view_tells_an_api_client_its_limit_and_refuses_beyond_it(api, settings):
    settings.DTOC_CLIENT_EVENTS_PER_SECOND, settings.DTOC_CLIENT_BURST = 1, 10
    settings.ROOT_URLCONF = __name__
    client, another = api("events:write"), api("events:read")

    stored = client.post("/send?events=8")
    refused = client.post("/send?events=3")

    assert stored.status_code == 201
    assert stored["RateLimit-Policy"] == '"events";q=10;w=10'
    assert stored["RateLimit"].startswith('"events";r=2;t=')
    assert refused.status_code == 429
    assert refused.json()["type"] == "/problems/too-many-events"
    assert refused["Retry-After"].isdigit()
    assert refused["RateLimit"].startswith('"events";r=2;t=')
    assert another.post("/send?events=10").status_code == 201


urlpatterns = [path("send", Sending.as_view())]
