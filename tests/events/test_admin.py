"""What the admin shows of events: everything it may, nothing it must not, without counting rows."""

from uuid import uuid4

import pytest
from django.contrib import admin

from events.models import Event, Intake, QuarantinedEvent, Stream
from events.services import append_batch
from events.services.quarantine import Kept, quarantine, sealed
from tests.builders import NOON
from tests.events.builders import viewed

LISTS = ["event", "stream", "quarantinedevent", "intake"]


@pytest.mark.parametrize("name", LISTS)
def test_every_list_opens(admin_client, name):
    append_batch(events=[viewed(uuid4())], at=NOON)

    assert admin_client.get(f"/admin/events/{name}/").status_code == 200


@pytest.mark.parametrize("model", [Event, Stream, QuarantinedEvent, Intake])
def test_nothing_can_be_added_changed_or_deleted(admin_client, rf, admin_user, model):
    request = rf.get("/")
    request.user = admin_user
    page = admin.site.get_model_admin(model)

    assert not page.has_add_permission(request)
    assert not page.has_change_permission(request)
    assert not page.has_delete_permission(request)


def test_events_are_searched_by_a_whole_pseudonym(admin_client):
    mine, other = uuid4(), uuid4()
    append_batch(events=[viewed(mine), viewed(other)], at=NOON)

    found = admin_client.get(f"/admin/events/event/?q={mine}").content.decode()

    assert str(mine) in found
    assert str(other) not in found
    assert str(mine) not in admin_client.get("/admin/events/event/?q=85123A").content.decode()


def test_events_are_filtered_by_type(admin_client):
    stream = uuid4()
    append_batch(events=[viewed(stream)], at=NOON)

    viewed_only = admin_client.get("/admin/events/event/?type=item_viewed").content.decode()
    bought = admin_client.get("/admin/events/event/?type=item_purchased").content.decode()

    assert str(stream) in viewed_only
    assert str(stream) not in bought


def test_streams_that_are_behind_can_be_listed(admin_client):
    stream = uuid4()
    append_batch(events=[viewed(stream)], at=NOON)

    assert str(stream) in admin_client.get("/admin/events/stream/?lag=behind").content.decode()


def test_a_quarantined_body_is_shown_nowhere(admin_client):
    kept = Kept(
        "schema_error", "no such field", uuid4(), None, None, sealed(b"jane.roe@example.org")
    )
    quarantine(source="shop", at=NOON, events=[kept])
    row = QuarantinedEvent.objects.get()

    page = admin_client.get(f"/admin/events/quarantinedevent/{row.pk}/change/").content.decode()

    assert "no such field" in page
    assert "jane.roe" not in page


def test_no_page_counts_all_events(admin_client, django_assert_max_num_queries):
    append_batch(events=[viewed(uuid4())], at=NOON)

    with django_assert_max_num_queries(40) as queries:
        admin_client.get("/admin/events/event/")

    counts = [q["sql"] for q in queries.captured_queries if "COUNT(*)" in q["sql"]]
    assert all("LIMIT" in sql for sql in counts if "events_event" in sql)
