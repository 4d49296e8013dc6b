"""The admin's pages of twins and models."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from tests.builders import DAY, NOON
from tests.twins.builders import (
    advance_everything,
    customer,
    happen,
    orders,
    returned,
    stored_model,
    twin,
)
from twins import folding
from twins.artefacts import load_model
from twins.metrics import twin_metrics
from twins.models import ModelVersion, ParkedStream, TwinSnapshot
from twins.services.park import park

pytestmark = pytest.mark.django_db


def signed_in(*permissions: str, superuser: bool = False) -> Client:
    user = User.objects.create(username="person", is_staff=True, is_superuser=superuser)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin() -> Client:
    return signed_in(superuser=True)


@pytest.fixture
def someone(model):
    pseudonym = customer()
    happen(pseudonym, *orders(6), step=7 * DAY)
    happen(pseudonym, returned("O5"), start=NOON + 36 * DAY)
    advance_everything()
    return pseudonym


def test_twins_are_found_by_their_whole_pseudonym_without_counting_the_table(
    admin, someone, django_assert_max_num_queries
):
    other = customer()
    happen(other, *orders(1))
    advance_everything()

    with django_assert_max_num_queries(15) as queries:
        page = admin.get("/admin/twins/twin/", {"q": str(someone)}).content.decode()

    assert str(someone) in page
    assert str(other) not in page
    counts = [q["sql"] for q in queries.captured_queries if "COUNT(*)" in q["sql"]]
    assert all("LIMIT" in sql for sql in counts)
    part = admin.get("/admin/twins/twin/", {"q": str(someone)[:8]}).content.decode()
    assert str(someone) not in part


def test_a_twins_page_shows_items_chances_memory_events_and_snapshots(admin, someone):
    shown = twin(someone)

    page = admin.get(f"/admin/twins/twin/{shown.id}/change/").content.decode()

    for item in shown.forecast["top_items"]:
        assert item["sku"] in page
        assert f"{item['probability']:.4f}" in page
    assert "Likely next basket" in page
    for item in shown.forecast["next_basket"]:
        assert f"{item['rank']}. {item['sku']}" in page
    for text in (
        "orders within 30 days",
        "80 % interval",
        "item_returned",
        "It has seen all events",
    ):
        assert text in page
    assert page.count("twin-bar") >= 8 + 6
    snapshot = TwinSnapshot.objects.get()
    assert f"/admin/twins/twinsnapshot/{snapshot.id}/change/" in page


def test_a_twins_page_answers_for_a_moment_of_choice_and_names_the_lag(admin, someone):
    happen(someone, *orders(2, prefix="NEW"), start=NOON + 100 * DAY)

    page = admin.get(
        f"/admin/twins/twin/{twin(someone).id}/change/", {"as_of": "2011-12-24T00:00:00Z"}
    ).content.decode()

    assert "As of 2011-12-24 00:00 UTC" in page
    assert "2 events of the stream are not folded yet" in page


def test_snapshot_pages_open(admin, someone):
    snapshot = TwinSnapshot.objects.get()

    assert admin.get("/admin/twins/twinsnapshot/").status_code == 200
    page = admin.get(f"/admin/twins/twinsnapshot/{snapshot.id}/change/")
    assert str(someone) in page.content.decode()


def test_a_models_page_shows_its_figures_with_the_baselines_beside_them(admin, model):
    page = admin.get(f"/admin/twins/modelversion/{model.id}/change/").content.decode()

    assert "Next item, all lines" in page
    assert "6.000 (5.900 to 6.100)" in page
    assert page.index("this model") < page.index("popularity")
    assert "measured on nothing" in page


def activate(client: Client, version: ModelVersion):
    return client.post(
        "/admin/twins/modelversion/",
        {"action": "activate", "_selected_action": [str(version.id)]},
        follow=True,
    )


def test_a_model_is_activated_by_the_service_which_may_refuse(admin, model):
    better, worse = stored_model(seed=1, nll=5.0), stored_model(seed=2, nll=9.0)

    activate(admin, better)
    refused = activate(admin, worse)

    better.refresh_from_db()
    worse.refresh_from_db()
    assert (better.state, worse.state) == ("active", "trained")
    assert "or give a reason" in refused.content.decode()


def test_who_may_look_may_not_activate(model):
    better = stored_model(seed=1, nll=5.0)

    activate(signed_in("view_modelversion"), better)
    better.refresh_from_db()
    assert better.state == "trained"


def test_figures_for_prometheus_tell_live_twins_and_lag(someone):
    happen(someone, *orders(2, prefix="NEW"), start=NOON + 100 * DAY)

    figures = {m.name: m.samples[0].value for m in twin_metrics() if m.samples}

    assert figures["dtoc_twins_total"] == 1
    assert figures["dtoc_twin_lag_events"] == 2
    assert figures["dtoc_twin_lag_seconds"] > 0


# The past


def page_of(client: Client, shown, **query) -> str:
    return client.get(f"/admin/twins/twin/{shown.id}/change/", query).content.decode()


def test_a_twins_page_lists_its_versions_with_what_each_event_moved(admin, someone):
    page = page_of(admin, twin(someone))

    assert 'type="range"' in page
    assert 'max="7"' in page
    assert '<span class="number">5 → 6</span>' in page  # the sixth order
    assert '<span class="number">0 → 1</span>' in page  # the return
    assert page.count("?version=") >= 7


def test_a_version_that_is_chosen_is_shown_as_it_was(admin, someone):
    page = page_of(admin, twin(someone), version="3")

    assert "As it was at version 3" in page
    assert "Back to the live twin" in page
    assert 'max="7" value="3"' in page
    assert '<tr class="twin-shown">' in page
    assert '<td>orders</td><td class="number">3</td>' in page


@pytest.mark.parametrize("asked", ["0", "99", "-1", "three", "9" * 30])
def test_a_version_that_cannot_be_shown_shows_the_nearest_or_the_live_one(admin, someone, asked):
    assert "Versions" in page_of(admin, twin(someone), version=asked)


def test_a_long_history_is_shown_in_pieces(admin, model):
    pseudonym = customer()
    happen(pseudonym, *orders(40))
    advance_everything()
    shown = twin(pseudonym)

    newest, middle = page_of(admin, shown), page_of(admin, shown, version="20")

    assert 'href="?version=28#versions">older' in newest
    assert ">newer</a>" not in newest
    assert 'href="?version=8#versions">older' in middle
    assert 'href="?version=32#versions">newer' in middle
    assert '<a class="text-primary-600" href="?version=24#versions">24</a>' in middle
    assert '<a class="text-primary-600" href="?version=25#versions">25</a>' not in middle


def test_without_the_files_of_its_model_the_page_opens_and_says_what_is_missing(
    admin, someone, model_storage
):
    for file in model_storage.rglob("*.*"):
        file.unlink()
    load_model.cache_clear()

    page = page_of(admin, twin(someone))

    assert "are not those that were stored" in page
    assert "item_returned" in page


def test_a_twin_that_waits_says_so_on_its_page_and_in_the_list(admin, someone):
    happen(someone, *orders(1, prefix="NEW"), start=NOON + 200 * DAY)
    advance_everything()
    happen(someone, *orders(1, prefix="LATE"), start=NOON + DAY)
    advance_everything()

    assert "1 events came too late" in page_of(admin, twin(someone))
    waiting = admin.get("/admin/twins/twin/", {"waits_since__isempty": "0"}).content.decode()
    assert str(someone) in waiting


# Parked streams


@pytest.fixture
def parked(model) -> ParkedStream:
    pseudonym = customer()
    happen(pseudonym, *orders(2))
    return park(pseudonym=pseudonym, model_id=model.id, error=ValueError("odd"), at=NOON)


def retry(client: Client, row: ParkedStream):
    return client.post(
        "/admin/twins/parkedstream/",
        {"action": "retry_now", "_selected_action": [str(row.id)]},
        follow=True,
    ).content.decode()


def test_parked_streams_are_listed_with_the_reason_and_found_by_pseudonym(admin, parked):
    page = admin.get("/admin/twins/parkedstream/", {"q": str(parked.pseudonym)}).content.decode()

    for text in (str(parked.pseudonym), "ValueError", "odd"):
        assert text in page
    assert admin.get(f"/admin/twins/parkedstream/{parked.id}/change/").status_code == 200
    assert "/admin/twins/parkedstream/" in admin.get("/admin/").content.decode()


def test_a_parked_stream_is_retried_from_the_admin_before_it_is_due(admin, parked):
    page = retry(admin, parked)

    assert "1 streams are folded and free, 0 failed again" in page
    assert not ParkedStream.objects.exists()
    assert twin(parked.pseudonym).stream_version == 2


def test_a_retry_that_fails_again_says_so(admin, parked, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise ValueError("still odd")

    monkeypatch.setattr(folding, "fold_order", broken)

    assert "0 streams are folded and free, 1 failed again" in retry(admin, parked)
    assert ParkedStream.objects.get().attempts == 2


def test_who_may_only_look_may_not_retry(parked):
    retry(signed_in("view_parkedstream"), parked)

    assert ParkedStream.objects.get().attempts == 1
