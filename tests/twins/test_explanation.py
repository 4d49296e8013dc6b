"""Why a twin predicts what it predicts: parts that add up, and events that never happened."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.timing import predictions
from tests.builders import DAY, HOUR, NOON
from tests.twins.builders import (
    SKUS,
    advance_everything,
    customer,
    happen,
    purchase,
    registered,
    returned,
    twin,
    viewed,
)
from twins import occlusion as occlusions
from twins.artefacts import load_model
from twins.encoding import is_folded
from twins.explanation import explanation_document, usual_moment
from twins.folding import fold, whole_histories, work_of
from twins.heads import EPOCH
from twins.models import ModelVersion, Twin, TwinSnapshot
from twins.occlusion import NOTHING, WAITS, occlusion
from twins.selectors import loaded_model

pytestmark = pytest.mark.django_db

START = datetime(2030, 3, 1, 12, tzinfo=UTC)  # the store records no earlier than its own clock
LATER = START + 400 * DAY
FIGURES = {"order_within_30_days", "churn", "days_to_next_order", "top_item_probability"}


def url(pseudonym: UUID) -> str:
    return f"/api/v1/twins/{pseudonym}/explanation/"


@pytest.fixture
def reader(api):
    return api("twins:read")


@pytest.fixture
def someone(model) -> UUID:
    """Three orders a week apart, the second of three lines, and a return."""
    pseudonym = customer()
    bought = [purchase("A", 1, "SKU1"), *(purchase("B", n, SKUS[n]) for n in range(3))]
    for number, event in enumerate([*bought, returned("B", 1, "SKU1"), purchase("C", 1, "SKU5")]):
        week = (0, 1, 1, 1, 2, 3)[number]
        moment = START + week * 7 * DAY + number * HOUR
        happen(pseudonym, event, start=moment, at=moment)
        advance_everything(at=moment)
    return pseudonym


def explained(pseudonym: UUID, *, events: int = 10, as_of: datetime = LATER):
    return explanation_document(live(pseudonym), events=events, as_of=as_of)


def live(pseudonym: UUID) -> Twin:
    return Twin.objects.select_related("model_version").get(pseudonym=pseudonym)


def occluded(pseudonym: UUID, *, events: int = 50, as_of: datetime = LATER):
    return occlusion(twin(pseudonym), events=events, as_of=as_of, top_item="SKU1", market=None)


def folded_without(version: ModelVersion, pseudonym: UUID, *hidden: int) -> dict[str, object]:
    """What a plain fold of the whole history predicts that never had these events."""
    history = [e for e in whole_histories([pseudonym])[pseudonym] if e.version not in hidden]
    if not any(map(is_folded, history)):
        history = [*history, *happened_nothing(pseudonym)]
    (made,) = fold(loaded_model(version), [work_of(pseudonym, history, None)])
    as_of_ms = round((LATER - EPOCH).total_seconds() * 1000)
    time = predictions(made.forecast, made.memory["clock_ms"], as_of_ms)
    items = {item["sku"]: item["probability"] for item in made.forecast["top_items"]}
    return {
        "order_within_30_days": time["order_probability"]["within_30_days"],
        "churn": time["churn"],
        "days_to_next_order": time["median_days_to_order"],
        "top_item_probability": items["SKU1"],  # of eight items, so it is always among the ten
    }


def happened_nothing(pseudonym: UUID):
    """An event that no twin folds, so that a history without any other has an end."""
    return [e for e in whole_histories([pseudonym])[pseudonym] if not is_folded(e)][:1]


def forget_snapshots(pseudonym: UUID, keep: set[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('dtoc.thinning_snapshots', 'on', false)")
        TwinSnapshot.objects.filter(pseudonym=pseudonym).exclude(stream_version__in=keep).delete()
        cursor.execute("SELECT set_config('dtoc.thinning_snapshots', '', false)")


def assert_equal_figures(found, expected: dict[str, object]) -> None:
    for name, value in expected.items():
        got = getattr(found, name)
        assert (got is None) == (value is None)
        assert value is None or got == pytest.approx(value, rel=1e-4, abs=1e-6), name


# Next items


def test_the_items_are_those_of_the_twin_and_their_shares_sum_to_one(reader, someone):
    foretold = reader.get(f"/api/v1/twins/{someone}/").json()["predictions"]["next_items"]
    explained_items = reader.get(url(someone)).json()["next_items"]

    assert [item["sku"] for item in explained_items] == [item["sku"] for item in foretold]
    for item, plain in zip(explained_items, foretold, strict=True):
        assert item["probability"] == pytest.approx(plain["probability"], rel=1e-4)
        assert sum(part["share"] for part in item["because"]) == pytest.approx(1)
        assert all(part["label"] for part in item["because"])


def test_only_what_the_customer_bought_is_explained_by_it(someone):
    because = {
        item["sku"]: {part["component"] for part in item["because"]}
        for item in explained(someone)["next_items"]
    }

    assert {sku for sku, parts in because.items() if "own" in parts} == {
        "SKU0", "SKU1", "SKU2", "SKU5",
    }  # fmt: skip


# What moved


def test_an_event_is_occluded_as_if_it_had_never_happened(someone, model):
    found = occluded(someone)

    assert {one.events[0].version for one in found.events} == {1, 2, 3, 4, 5, 6}
    assert_equal_figures(found.whole, folded_without(model, someone))
    for one in found.events:
        assert_equal_figures(one.without, folded_without(model, someone, one.events[0].version))


def test_a_whole_order_is_occluded_with_all_its_lines(someone, model):
    (order,) = occluded(someone).orders

    assert [event.version for event in order.events] == [2, 3, 4]
    assert_equal_figures(order.without, folded_without(model, someone, 2, 3, 4))


def test_the_order_of_one_of_the_last_events_is_whole_even_where_it_began_before_them(someone):
    found = occluded(someone, events=3)

    assert {one.events[0].version for one in found.events} == {4, 5, 6}
    assert [[e.version for e in order.events] for order in found.orders] == [[2, 3, 4]]


def test_orders_that_none_of_the_last_events_belongs_to_are_not_occluded(someone):
    assert occluded(someone, events=1).orders == ()


def test_an_order_that_may_have_begun_before_what_is_looked_at_is_left_out(someone, monkeypatch):
    monkeypatch.setattr(occlusions, "MOST_LINES", 1)

    found = occluded(someone, events=3)

    assert {one.events[0].version for one in found.events} == {4, 5, 6}
    assert found.orders == ()


def test_an_event_that_changes_nothing_moves_nothing(someone):
    happen(someone, registered(), start=START + 60 * DAY)  # it counts only at the beginning
    advance_everything()

    found = occluded(someone)

    (one,) = [one for one in found.events if one.events[0].type == "customer_registered"]
    assert one.without == found.whole
    assert (one.effect, set(vars_of(one.moved).values())) == (0, {0})
    assert found.events[-1] is one
    assert found.events[0].effect > 0


def test_events_that_twins_do_not_fold_are_not_among_the_last(someone, monkeypatch):
    monkeypatch.setattr(occlusions, "MOST_LINES", 0)
    happen(someone, viewed(), start=START + 60 * DAY)
    for mark in ("technical", "outlier"):
        happen(someone, purchase("X"), start=START + 61 * DAY, metadata={mark: True})
    advance_everything()

    assert {one.events[0].version for one in occluded(someone, events=2).events} == {5, 6}


def test_the_largest_effect_comes_first_and_is_what_the_change_adds_up_to(someone):
    found = occluded(someone)

    effects = [one.effect for one in found.events]
    assert effects == sorted(effects, reverse=True)
    for one in found.events:
        moved = vars_of(one.moved)
        for name, value in moved.items():
            whole, without = getattr(found.whole, name), getattr(one.without, name)
            assert value == (None if None in (whole, without) else whole - without)
        shares = [moved[name] for name in FIGURES - {"days_to_next_order"}]
        assert one.effect == max(map(abs, shares))


def test_a_snapshot_that_an_older_event_has_overtaken_is_not_folded_on(model, monkeypatch):
    monkeypatch.setattr(occlusions, "MOST_LINES", 1)
    someone = customer()
    for number, day in enumerate((0, 10, 20, 5, 30)):  # the fourth came late
        moment = START + max(day, 20 if number > 2 else 0) * DAY
        happen(someone, purchase(f"O{number}"), start=START + day * DAY, at=moment)
        advance_everything(at=moment)
    forget_snapshots(someone, keep={1, 2})

    (one,) = occluded(someone, events=1).events

    assert one.events[0].version == 5
    assert_equal_figures(one.without, folded_without(model, someone, 5))


def test_many_works_are_one_fold(someone, monkeypatch):
    sizes = []
    monkeypatch.setattr(
        occlusions, "fold", lambda model, works, market: (
            sizes.append(len(works)), fold(model, works, market)
        )[1],
    )  # fmt: skip

    occluded(someone)

    assert sizes == [1 + 6 + 1]


def vars_of(figures) -> dict[str, float | None]:
    return {name: getattr(figures, name) for name in FIGURES}


arrivals = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.sampled_from(["purchase", "purchase", "return", "view", "technical", "registered"]),
        st.sampled_from(SKUS[:4]),
        st.integers(0, 4),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(arrived=arrivals, kept=st.sets(st.integers(1, 12)), events=st.integers(1, 6))
def test_whatever_snapshots_are_left_an_occluded_history_is_the_plain_fold_without_the_event(
    model, settings, monkeypatch, arrived, kept, events
):
    """Late events, orders across the edge, and events that no twin folds included."""
    settings.DTOC_SNAPSHOT_EVENTS = 2
    monkeypatch.setattr(occlusions, "MOST_LINES", 2)
    someone = customer()
    happen(someone, viewed(), start=START)
    for number, (hours, kind, sku, order, advances) in enumerate(arrived):
        event = {"return": returned("R", number, sku), "registered": registered()}.get(
            kind, purchase(f"O{order}", number, sku)
        )
        event = viewed(sku) if kind == "view" else event
        marks = {"technical": True} if kind == "technical" else {}
        happen(someone, event, start=START + hours * HOUR, metadata=marks)
        if advances:
            advance_everything()
    advance_everything()
    forget_snapshots(someone, keep=kept)

    found = occluded(someone, events=events)

    history = filter(is_folded, whole_histories([someone])[someone])
    last = sorted(history, key=lambda e: (e.occurred_at_ms, e.version))[-events:]
    assert {one.events[0].version for one in found.events} == {e.version for e in last}
    for one in (*found.events, *found.orders):
        versions = [event.version for event in one.events]
        assert_equal_figures(one.without, folded_without(model, someone, *versions))


# Twins with nothing to occlude


def test_a_twin_that_waits_is_explained_without_events_and_says_why(reader, someone):
    happen(someone, purchase("NEW"), start=START + 150 * DAY)
    advance_everything()
    happen(someone, purchase("LATE"), start=START + HOUR, at=START + 151 * DAY)
    advance_everything(at=START + 151 * DAY)

    answer = reader.get(url(someone))

    body = answer.json()
    assert twin(someone).waits_since
    assert (body["events"], body["orders"], body["predictions"]) == ([], [], None)
    assert body["reason"] == WAITS
    assert body["next_items"]
    assert any(WAITS in sentence for sentence in body["summary"])
    assert ".waits." in answer["ETag"]


def test_a_twin_that_knows_the_profile_alone_is_explained_by_everybody(reader, model):
    someone = customer()
    happen(someone, viewed(), start=START)
    advance_everything()

    body = reader.get(url(someone)).json()

    assert (body["events"], body["reason"]) == ([], NOTHING)
    assert (body["time"]["own_weight"], body["time"]["waited_days"]) == (0, None)
    components = {part["component"] for item in body["next_items"] for part in item["because"]}
    assert not {name for name in components if name.startswith("own")}
    assert 2 <= len(body["summary"]) <= 4


# The API


def test_the_explanation_has_words_and_figures(reader, someone, model):
    body = reader.get(url(someone), {"events": 3, "as_of": LATER.isoformat()}).json()

    assert (body["pseudonym"], body["stream_version"]) == (str(someone), 6)
    assert body["model"]["id"] == str(model.id)
    assert len(body["events"]) == 3
    event = body["events"][0]
    assert event.keys() == {
        "version", "event_id", "type", "occurred_at", "moved", "without", "effect",
    }  # fmt: skip
    assert set(event["moved"]) == set(event["without"]) == set(body["predictions"]) == FIGURES
    assert body["orders"][0]["versions"] == [2, 3, 4]
    assert 2 <= len(body["summary"]) <= 4
    assert body["next_items"][0]["sku"] in body["summary"][0]
    assert f"(version {event['version']})" in body["summary"][-1]
    assert body["time"]["own_gaps"] == 2
    assert body["time"]["waited_days"] == 379


def test_the_figures_are_those_of_the_twin_at_that_moment(reader, someone):
    asked = {"as_of": LATER.isoformat()}

    foretold = reader.get(f"/api/v1/twins/{someone}/", asked).json()["predictions"]
    body = reader.get(url(someone), asked).json()

    for figures in (body["time"], body["predictions"]):
        assert figures["order_within_30_days"] == pytest.approx(foretold["order_within"]["30_days"])
        assert figures["churn"] == pytest.approx(foretold["churn"])
    top = body["next_items"][0]["probability"]
    assert body["predictions"]["top_item_probability"] == pytest.approx(top, rel=1e-4)


def test_where_no_moment_is_named_it_is_todays_midnight_or_the_last_event(someone):
    shown = live(someone)

    assert usual_moment(shown, LATER) == LATER.replace(hour=0)
    assert usual_moment(shown, NOON) == shown.clock_at


def test_the_tag_names_what_was_asked_and_spares_the_body(reader, someone, model, monkeypatch):
    asked = {"as_of": LATER.isoformat(), "events": 3}
    first = reader.get(url(someone), asked)
    tag = first["ETag"]

    assert tag.startswith(f'"{someone}.{model.id}.6.why-3-')
    assert reader.get(url(someone), asked).content == first.content
    others = [{**asked, "events": 4}, {**asked, "as_of": (LATER + DAY).isoformat()}]
    for other in others:
        assert reader.get(url(someone), other, HTTP_IF_NONE_MATCH=tag).status_code == 200
    monkeypatch.setattr("twins.api.explanation.explanation_document", None)
    assert reader.get(url(someone), asked, HTTP_IF_NONE_MATCH=tag).status_code == 304


@pytest.mark.parametrize("query", [{"events": 0}, {"events": 51}, {"events": "x"}, {"as_of": "x"}])
def test_what_cannot_be_asked_is_refused(reader, someone, query):
    answer = reader.get(url(someone), query)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == f"/{next(iter(query))}"


def test_a_moment_before_the_last_event_is_refused_as_the_twins_is(reader, someone):
    answer = reader.get(url(someone), {"as_of": START.isoformat()})

    assert answer.json()["type"] == "/problems/as-of-before-twin"


def test_an_explanation_needs_the_scope_a_customer_and_a_twin(api, reader, model):
    nobody, new = uuid4(), customer()

    assert api("events:write").get(url(new)).status_code == 403
    assert reader.get(url(nobody)).json()["type"] == "/problems/unknown-customer"
    answer = reader.get(url(new))
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/twin-not-advanced")


def test_an_explanation_writes_nothing_and_locks_nothing(someone):
    with CaptureQueriesContext(connection) as captured:
        explained(someone)

    asked = [query["sql"].lstrip() for query in captured.captured_queries]
    assert asked
    assert all(sql.startswith("SELECT") and " FOR " not in sql.upper() for sql in asked)


def test_the_document_of_the_api_has_an_example(reader):
    paths = reader.get("/api/schema/?format=json").json()["paths"]
    operation = paths["/api/v1/twins/{pseudonym}/explanation/"]["get"]

    assert {p["name"] for p in operation["parameters"]} >= {"events", "as_of"}
    assert operation["responses"]["200"]["content"]["application/json"]["examples"]
    assert "application/problem+json" in operation["responses"]["404"]["content"]


# The admin


@pytest.fixture
def page(someone):
    client = Client()
    client.force_login(User.objects.create(username="p", is_staff=True, is_superuser=True))

    def page_of(**query: str) -> str:
        address = f"/admin/twins/twin/{twin(someone).id}/change/"
        return client.get(address, query).content.decode()

    return page_of


def test_the_page_of_a_twin_explains_only_when_asked(page, monkeypatch):
    monkeypatch.setattr("twins.admin_why.explanation_document", None)

    assert 'href="?why=1#why"' in page()
    assert "Only the live twin is explained" in page(version="3", why="1")


def test_the_page_shows_sentences_shares_and_the_events_that_moved_most(page, someone):
    shown = page(why="1")

    assert "The next order most likely opens with" in shown
    assert shown.count('class="twin-parts"') == 5
    assert "bought it before" in shown
    assert "the whole order" in shown
    assert "Explain these predictions" not in shown


def test_without_the_files_of_the_model_the_page_says_so(page, model_storage):
    for file in [f for f in model_storage.rglob("*") if f.is_file()]:
        file.unlink()
    load_model.cache_clear()

    assert '<p class="twin-note">' in page(why="1")
    assert "The next order most likely opens with" not in page(why="1")
