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
from twins.metrics import twin_metrics
from twins.models import ModelVersion, TwinSnapshot

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

    figures = {m.name: m.samples[0].value for m in twin_metrics()}

    assert figures["dtoc_twins_total"] == 1
    assert figures["dtoc_twin_lag_events"] == 2
    assert figures["dtoc_twin_lag_seconds"] > 0
