"""The past: a twin at a version, as it was known, what moved, and what a read leaves alone."""

import threading
from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from django.db import connection, connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.predict import rhythms
from ml.rhythm.model import Rhythm
from tests.builders import DAY, HOUR, NOON
from tests.ml.histories import small_model
from tests.twins.builders import (
    SKUS,
    active_model,
    advance_everything,
    customer,
    happen,
    orders,
    purchase,
    registered,
    returned,
    stored_model,
    twin,
    viewed,
)
from twins import history
from twins.errors import TwinVersionNotKept
from twins.folding import fold_from_start, whole_histories
from twins.history import known_at, steps, twin_as_of, twin_at
from twins.models import Twin, TwinSnapshot
from twins.moves import later_clock, moved_between
from twins.selectors import loaded_model
from twins.services import activate_model, mend_twins

pytestmark = pytest.mark.django_db

START = datetime(2030, 3, 1, 12, tzinfo=UTC)  # the store records no earlier than its own clock


def url(pseudonym: UUID, more: str = "") -> str:
    return f"/api/v1/twins/{pseudonym}/{more}"


def lived(*days: float, advanced: bool = True) -> UUID:
    """A customer with an order on each of these days, recorded and folded an hour later."""
    someone = customer()
    for number, day in enumerate(days):
        moment = START + day * DAY
        happen(someone, purchase(f"O{number}", 1, SKUS[number % 8]), start=moment, at=moment + HOUR)
        if advanced:
            advance_everything(at=moment + HOUR)
    advance_everything()
    return someone


@pytest.fixture
def reader(api):
    return api("twins:read")


@pytest.fixture
def someone(model) -> UUID:
    """Six orders, one a week; all but the first and the last snapshot of the twin are gone."""
    pseudonym = lived(*(7 * n for n in range(6)))
    forget_snapshots(pseudonym, keep=(1, 6))
    return pseudonym


def forget_snapshots(pseudonym: UUID, keep: tuple[int, ...] = ()) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('dtoc.thinning_snapshots', 'on', false)")
        TwinSnapshot.objects.filter(pseudonym=pseudonym).exclude(stream_version__in=keep).delete()
        cursor.execute("SELECT set_config('dtoc.thinning_snapshots', '', false)")


def rebuilt(version, pseudonym: UUID, until: int) -> tuple[bytes, bytes, dict[str, int]]:
    """What a fold of the first events from the very first one gives."""
    events = [e for e in whole_histories([pseudonym])[pseudonym] if e.version <= until]
    states = fold_from_start(loaded_model(version), {pseudonym: events})
    return (*states.row_bytes(0), states.memory(0))


def value_of(past: Twin) -> tuple[bytes, bytes, dict[str, int]]:
    return bytes(past.h), bytes(past.c), past.memory


# Versions


def test_a_version_is_the_twin_after_that_event_and_no_later_one(reader, someone, model):
    body = reader.get(url(someone), {"version": 3}).json()

    assert (body["stream_version"], body["lag"], body["fold_mode"]) == (3, 3, "replayed")
    assert body["memory"]["orders"] == 3
    assert body["clock_at"].startswith("2030-03-15T12:00:00")
    assert body["as_of"].startswith("2030-03-15T13:00:00")  # when it was recorded
    assert reader.get(url(someone), {"version": 3}).json() == body
    live = reader.get(url(someone)).json()
    assert (live["stream_version"], live["memory"]["orders"]) == (6, 6)
    assert live["predictions"]["next_items"] != body["predictions"]["next_items"]


def test_a_version_is_read_from_the_snapshot_before_it_and_not_from_the_first_event(
    someone, monkeypatch
):
    read: list[tuple[int, int]] = []
    between = history.events_between

    def reading(stream, *, after, until):
        read.append((after, until))
        return between(stream, after=after, until=until)

    monkeypatch.setattr(history, "events_between", reading)
    live = twin(someone)

    twin_at(live, 4)
    assert read == [(1, 4)]
    assert twin_at(live, 1).fold_mode == "snapshot"
    assert twin_at(live, 6) is live
    assert read == [(1, 4)]


def test_a_stored_version_answers_without_folding_anything(reader, someone, monkeypatch):
    monkeypatch.setattr(history, "fold", None)

    body = reader.get(url(someone), {"version": 1}).json()

    assert (body["fold_mode"], body["memory"]["orders"]) == ("snapshot", 1)


@pytest.mark.parametrize("version", [7, 2**31 - 1])
def test_a_version_that_is_not_there_is_not_found_and_the_answer_says_which_are(
    reader, someone, version
):
    answer = reader.get(url(someone), {"version": version})

    body = answer.json()
    assert answer.status_code == 404
    assert body["type"] == "/problems/twin-version-not-kept"
    assert (body["oldest_version"], body["latest_version"]) == (1, 6)
    assert body["first_recorded_at"].startswith("2030-03-01T13:00:00")


def test_an_event_that_the_twin_has_not_seen_is_no_version_of_it_yet(reader, someone):
    happen(someone, purchase("NEW"), start=START + 60 * DAY)

    assert reader.get(url(someone), {"version": 7}).status_code == 404
    advance_everything()
    assert reader.get(url(someone), {"version": 7}).json()["fold_mode"] == "advanced"


@pytest.mark.parametrize("version", ["0", "-1", str(2**31), "three"])
def test_a_version_that_cannot_be_is_refused(reader, someone, version):
    answer = reader.get(url(someone), {"version": version})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/version"


def test_a_version_may_be_asked_about_another_moment_but_not_before_its_own_clock(reader, someone):
    later = {"version": 3, "as_of": (START + 300 * DAY).isoformat()}
    before = {"version": 3, "as_of": (START + 13 * DAY).isoformat()}

    body = reader.get(url(someone), later).json()
    assert body["stream_version"] == 3
    assert body["memory"]["days_since_last_order"] == pytest.approx(286)
    assert reader.get(url(someone), before).json()["type"] == "/problems/as-of-before-twin"


def test_the_tag_of_a_version_names_it_and_spares_body_and_fold(reader, someone, model):
    tag = reader.get(url(someone), {"version": 3})["ETag"]

    again = reader.get(url(someone), {"version": 3}, HTTP_IF_NONE_MATCH=tag)
    other = reader.get(url(someone), {"version": 4}, HTTP_IF_NONE_MATCH=tag)

    assert tag == f'"{someone}.{model.id}.3"'
    assert (again.status_code, other.status_code) == (304, 200)


# As known then


@pytest.mark.parametrize(
    ("days", "version"), [(0.5, 1), (7, 1), (7 + 1 / 24, 2), (20, 3), (34.9, 5)]
)
def test_a_past_moment_is_answered_as_it_was_known_then(reader, someone, days, version):
    moment = START + days * DAY

    body = reader.get(url(someone), {"as_of": moment.isoformat()}).json()

    assert (body["stream_version"], body["memory"]["orders"]) == (version, version)
    assert datetime.fromisoformat(body["as_of"]) == moment


def test_an_event_that_came_late_is_unknown_until_it_was_recorded(reader, model):
    someone = lived(0, 1, 2)
    happen(someone, purchase("LATE"), start=START + DAY / 2, at=START + 5 * DAY)
    advance_everything(at=START + 5 * DAY)

    then = reader.get(url(someone), {"as_of": (START + 4 * DAY).isoformat()}).json()
    now_known = reader.get(url(someone), {"as_of": (START + 6 * DAY).isoformat()}).json()

    assert (then["stream_version"], then["memory"]["orders"]) == (3, 3)
    assert (now_known["stream_version"], now_known["memory"]["orders"]) == (4, 4)
    assert now_known["fold_mode"] == "rewound"


def test_before_anything_was_known_there_is_nothing_to_read(reader, someone):
    answer = reader.get(url(someone), {"as_of": (START + HOUR / 2).isoformat()})

    assert answer.status_code == 404
    assert answer.json()["oldest_version"] == 1


def test_a_history_that_was_imported_is_asked_about_in_its_own_time(reader, model):
    someone = customer()
    happen(someone, *orders(3), start=NOON, step=DAY, at=START)
    advance_everything()

    after = reader.get(url(someone), {"as_of": (NOON + 9 * DAY).isoformat()})
    within = reader.get(url(someone), {"as_of": (NOON + DAY).isoformat()})

    assert after.json()["stream_version"] == 3
    assert within.status_code == 404


def test_what_is_known_has_no_gap_whatever_the_clocks_of_two_servers_said(model):
    someone = customer()
    for moment in (START, START + 2 * HOUR, START + HOUR):
        happen(someone, purchase(str(moment)), start=START, at=moment)

    known = [known_at(someone, START + n * HOUR).version for n in range(-1, 3)]
    assert known == [0, 1, 1, 3]


def test_the_twin_that_waits_shows_what_it_left_out_only_in_its_past(reader, model):
    someone = lived(0, 100)
    happen(someone, purchase("LATE"), start=START + HOUR, at=START + 101 * DAY)
    advance_everything(at=START + 101 * DAY)

    live = reader.get(url(someone))
    whole = reader.get(url(someone), {"version": 3})

    assert (live.json()["waiting_events"], live.json()["memory"]["orders"]) == (1, 2)
    assert live.json()["waits_since"].startswith("2030-06-10")
    assert (whole.json()["waiting_events"], whole.json()["memory"]["orders"]) == (0, 3)
    assert live["ETag"] != whole["ETag"]
    for _ in mend_twins(at=START + 102 * DAY):
        pass
    mended = reader.get(url(someone), HTTP_IF_NONE_MATCH=live["ETag"])
    assert (mended.status_code, mended["ETag"]) == (200, whole["ETag"])


def test_the_past_is_that_of_the_active_model(reader, someone):
    first = reader.get(url(someone), {"version": 3}).json()
    activate_model(model_id=stored_model(seed=1, nll=5.0).id, at=NOON)
    advance_everything()

    second = reader.get(url(someone), {"version": 3}).json()

    assert second["memory"] == first["memory"]
    assert second["model"]["id"] != first["model"]["id"]
    assert second["predictions"]["next_items"] != first["predictions"]["next_items"]


@pytest.mark.django_db(transaction=True)
def test_a_read_of_the_past_neither_waits_for_a_writer_nor_changes_anything():
    active_model()
    someone = lived(0, 1, 2, 3)
    forget_snapshots(someone, keep=(1,))
    before = Twin.objects.values().get(), list(TwinSnapshot.objects.values())
    found: list[int] = []

    def read() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET statement_timeout = 5000")
                cursor.execute("SET default_transaction_read_only = on")
            live = twin(someone)
            found.append(twin_at(live, 3).memory["orders"])
            found.append(twin_as_of(live, START + 1.5 * DAY).stream_version)
            found.append(len(list(steps(live, first=1, last=4))))
        finally:
            connections.close_all()

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT FROM events_stream WHERE stream = %s FOR UPDATE", [someone])
        cursor.execute("SELECT FROM twins_twin WHERE pseudonym = %s FOR UPDATE", [someone])
        thread = threading.Thread(target=read)
        thread.start()
        thread.join(20)

    assert found == [3, 2, 4]
    assert (Twin.objects.values().get(), list(TwinSnapshot.objects.values())) == before


arrivals = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.sampled_from(["purchase", "return", "view", "technical", "registered"]),
        st.sampled_from(SKUS[:4]),
        st.booleans(),
    ),
    min_size=2,
    max_size=14,
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(arrived=arrivals, kept=st.sets(st.integers(1, 14)))
def test_every_version_is_the_fold_of_its_first_events_whatever_snapshots_are_left(
    model, settings, arrived, kept
):
    """Read at once and read step by step, both equal a rebuild to the bit."""
    settings.DTOC_SNAPSHOT_EVENTS = 2
    someone = customer()
    for number, (hours, kind, sku, advances) in enumerate(arrived):
        event = {"return": returned("R", number, sku), "registered": registered()}.get(
            kind, purchase(f"O{number}", number, sku)
        )
        event = viewed(sku) if kind == "view" else event
        marks = {"technical": True} if kind == "technical" else {}
        happen(someone, event, start=START + hours * HOUR, metadata=marks)
        if advances:
            advance_everything()
    advance_everything()
    forget_snapshots(someone, keep=tuple(kept))
    live, count = twin(someone), len(arrived)
    truth = {version: rebuilt(model, someone, version) for version in range(1, count + 1)}

    assert {v: value_of(twin_at(live, v)) for v in truth} == truth
    middle = max(count // 2, 1)
    walked = [*steps(live, first=1, last=middle), *steps(live, first=middle + 1, last=count)]
    assert {step.event.version: value_of(step.after) for step in walked} == truth
    for earlier, later in pairwise(walked):
        assert value_of(later.before) == value_of(earlier.after)


# What moved


def test_versions_are_listed_newest_first_with_the_event_and_what_it_moved(reader, someone):
    body = reader.get(url(someone, "versions/"), {"limit": 2}).json()

    assert [row["version"] for row in body["results"]] == [6, 5]
    row = body["results"][0]
    assert row["event"]["type"] == "item_purchased"
    assert row["event"]["occurred_at"].startswith("2030-04-05T12:00:00")
    assert row["event"]["recorded_at"].startswith("2030-04-05T13:00:00")
    assert (row["folded"], row["late"]) == (True, False)
    assert row["moved"]["memory"]["orders"] == {"before": 5, "after": 6}
    assert row["moved"]["memory"]["spend"] == {"before": "25.50", "after": "30.60"}
    assert set(row["moved"]["predictions"]) >= {"churn", "order_within_30_days"}


def test_the_pages_of_versions_follow_one_another_and_say_the_same_as_one_page(reader, someone):
    whole = reader.get(url(someone, "versions/")).json()["results"]
    page = reader.get(url(someone, "versions/"), {"limit": 4}).json()
    rest = reader.get(page["next"]).json()
    back = reader.get(rest["previous"]).json()

    assert [row["version"] for row in whole] == [6, 5, 4, 3, 2, 1]
    assert page["results"] + rest["results"] == whole
    assert rest["next"] is None
    assert back["results"] == page["results"]


def test_the_first_version_is_compared_with_the_twin_that_knows_the_profile_alone(reader, someone):
    rows = reader.get(url(someone, "versions/")).json()["results"]

    assert rows[-1]["version"] == 1
    assert rows[-1]["moved"]["memory"]["orders"] == {"before": 0, "after": 1}


def test_an_event_that_twins_do_not_fold_moves_nothing(reader, someone):
    happen(someone, viewed(), start=START + 40 * DAY)
    advance_everything()

    (row,) = reader.get(url(someone, "versions/"), {"limit": 1}).json()["results"]

    assert (row["version"], row["folded"], row["event"]["type"]) == (7, False, "item_viewed")
    still = {"entered": [], "left": []}
    nothing = {"memory": {}, "predictions": {}, "next_items": still, "next_basket": still}
    assert row["moved"] == nothing


def test_a_late_event_is_marked_and_moves_what_it_would_have_moved_in_its_place(reader, someone):
    happen(someone, purchase("LATE", 1, "SKU7"), start=START + 8 * DAY)
    advance_everything()

    (row,) = reader.get(url(someone, "versions/"), {"limit": 1}).json()["results"]

    assert (row["version"], row["late"]) == (7, True)
    assert row["clock_at"].startswith("2030-04-05T12:00:00")  # it stays where it was
    assert row["moved"]["memory"]["orders"] == {"before": 6, "after": 7}


def test_two_versions_are_compared_as_of_the_later_clock(reader, someone):
    body = reader.get(url(someone, "diff/"), {"from": 2, "to": 5}).json()

    assert (body["before"]["version"], body["after"]["version"]) == (2, 5)
    assert body["as_of"] == body["after"]["clock_at"]
    assert body["after"]["recorded_at"].startswith("2030-03-29T13:00:00")
    moved = body["moved"]
    assert moved["memory"]["orders"] == {"before": 2, "after": 5}
    live = twin(someone)
    before, after = twin_at(live, 2), twin_at(live, 5)
    expected = moved_between(before, after, as_of=later_clock(before, after, NOON))
    assert moved["predictions"] == expected["predictions"]
    assert moved["predictions"]["churn"]["before"] != moved["predictions"]["churn"]["after"]


def test_items_that_enter_or_leave_the_likeliest_are_named_with_their_rank():
    def knowing(*skus: str) -> Twin:
        items = [{"sku": sku, "probability": 0.5 - n / 10} for n, sku in enumerate(skus)]
        time, buying = rhythms(Rhythm.plain(), small_model().initial_state(["GB"]))
        total = {"mu": 1.0, "sigma": 0.1, "expected": 3.0}
        basket = [{**item, "bought_before": True} for item in items[:2]]
        forecast = {
            "top_items": items, "next_basket": basket, "time_to_order": time[0].as_dict(),
            "buying": buying[0].as_dict(), "line_total": total,
        }  # fmt: skip
        names = ("orders", "lines", "returns", "units", "spend_cents", "gaps_n", "gaps_sum_ms")
        names += ("clock_ms", "first_order_ms", "last_order_ms")
        return Twin(memory=dict.fromkeys(names, 0), forecast=forecast)

    moved = moved_between(knowing("A", "B", "C"), knowing("B", "D", "C"), as_of=NOON)

    assert moved["next_items"] == {
        "entered": [{"sku": "D", "probability": pytest.approx(0.4), "rank": 2}],
        "left": [{"sku": "A", "probability": 0.5, "rank": 1}],
    }
    d, a = ({**moved["next_items"][way][0], "bought_before": True} for way in ("entered", "left"))
    assert moved["next_basket"] == {"entered": [d], "left": [a]}
    assert moved["memory"] == moved["predictions"] == {}


def test_a_comparison_runs_both_ways_and_with_itself_finds_nothing(reader, someone):
    there = reader.get(url(someone, "diff/"), {"from": 2, "to": 5}).json()
    back = reader.get(url(someone, "diff/"), {"from": 5, "to": 2}).json()
    same = reader.get(url(someone, "diff/"), {"from": 5, "to": 5}).json()

    assert (back["before"], back["after"]) == (there["after"], there["before"])
    assert back["moved"]["next_items"]["entered"] == there["moved"]["next_items"]["left"]
    assert same["moved"]["memory"] == same["moved"]["predictions"] == {}


def test_the_tag_of_a_comparison_names_both_versions(reader, someone, model):
    tag = reader.get(url(someone, "diff/"), {"from": 2, "to": 5})["ETag"]

    assert tag == f'"{someone}.{model.id}.2-5"'
    asked = {"from": 2, "to": 5}
    assert reader.get(url(someone, "diff/"), asked, HTTP_IF_NONE_MATCH=tag).status_code == 304


@pytest.mark.parametrize(
    ("query", "status", "pointer"),
    [
        ({"to": 3}, 400, "/from"),
        ({"from": 3}, 400, "/to"),
        ({"from": 0, "to": 3}, 400, "/from"),
        ({"from": 1, "to": 99}, 404, None),
    ],
)
def test_a_comparison_needs_two_versions_that_are_there(reader, someone, query, status, pointer):
    answer = reader.get(url(someone, "diff/"), query)

    assert answer.status_code == status
    errors = answer.json().get("errors")
    assert (errors[0]["pointer"] if errors else None) == pointer


@pytest.mark.parametrize("more", ["versions/", "diff/?from=1&to=2"])
def test_the_past_needs_the_scope_a_customer_and_a_twin(api, reader, model, more):
    nobody, new = uuid4(), customer()

    assert api("events:write").get(url(new, more)).status_code == 403
    assert reader.get(url(nobody, more)).json()["type"] == "/problems/unknown-customer"
    assert reader.get(url(new, more)).json()["type"] == "/problems/twin-not-advanced"


def test_a_stream_that_is_erased_while_it_is_read_is_not_found(someone, monkeypatch):
    monkeypatch.setattr(history, "events_between", lambda stream, **bounds: [])

    with pytest.raises(TwinVersionNotKept):
        twin_at(twin(someone), 3)


def test_the_document_of_the_api_has_examples_of_the_past(reader):
    schema = reader.get("/api/schema/?format=json").json()

    paths = schema["paths"]
    versions = paths["/api/v1/twins/{pseudonym}/versions/"]["get"]
    diff = paths["/api/v1/twins/{pseudonym}/diff/"]["get"]
    names = {p["name"] for p in paths["/api/v1/twins/{pseudonym}/"]["get"]["parameters"]}
    assert {"version", "as_of"} <= names
    assert {p["name"] for p in diff["parameters"]} >= {"from", "to"}
    for answers in (versions["responses"], diff["responses"]):
        assert answers["200"]["content"]["application/json"]["examples"]
        assert "application/problem+json" in answers["404"]["content"]
