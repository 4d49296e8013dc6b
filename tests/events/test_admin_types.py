"""Event types of one's own in the admin."""

import json

import pytest
from django.contrib.auth.models import Permission

from events.models import CustomType
from events.services import append_batch
from events.services.custom_types import register_custom_type
from events.services.outliers import with_outliers_marked
from tests.builders import NOON
from tests.events.test_outliers import sold, usual

ADD = "/admin/events/customtype/add/"


def posted(client, name="item_reviewed", schema=None):
    schema = {"type": "object"} if schema is None else schema
    form = {"name": name, "description": "stars", "json_schema": json.dumps(schema)}
    return client.post(ADD, form)


def test_a_type_is_registered_by_whoever_may(admin_client, admin_user):
    answer = posted(admin_client)

    assert answer.status_code == 302
    (kept,) = CustomType.objects.all()
    assert (kept.name, kept.schema_version, kept.created_by) == (
        "item_reviewed",
        1,
        str(admin_user),
    )


def test_a_second_schema_is_a_second_version(admin_client):
    posted(admin_client)

    posted(admin_client, schema={"type": "object", "required": ["stars"]})

    assert list(CustomType.objects.values_list("schema_version", flat=True)) == [1, 2]


@pytest.mark.parametrize(
    ("name", "schema", "told"),
    [
        ("Item Reviewed", {"type": "object"}, "snake_case"),
        ("item_purchased", {"type": "object"}, "in the catalogue"),
        ("item_reviewed", {"type": "objekt"}, "always an object"),
        ("item_reviewed", {"type": "object", "required": 1}, "no valid JSON Schema"),
    ],
)
def test_what_cannot_be_registered_is_told_at_the_form(admin_client, name, schema, told):
    answer = posted(admin_client, name, schema)

    assert answer.status_code == 200
    assert told in answer.content.decode()
    assert not CustomType.objects.exists()


def test_who_may_only_look_cannot_add(client, django_user_model):
    viewer = django_user_model.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_customtype"))
    client.force_login(viewer)

    assert posted(client).status_code == 403


def test_a_registered_type_shows_its_schema_and_cannot_be_changed(admin_client):
    kept = register_custom_type(
        name="item_reviewed", json_schema={"type": "object"}, description="", by="me", at=NOON
    )

    page = admin_client.get(f"/admin/events/customtype/{kept.pk}/change/").content.decode()

    assert "&quot;type&quot;: &quot;object&quot;" in page
    assert 'name="json_schema"' not in page


def test_outliers_can_be_listed(admin_client):
    events = with_outliers_marked([*usual(), sold(500)])
    append_batch(events=events, at=NOON)

    found = admin_client.get("/admin/events/event/?mark=outlier").content.decode()

    assert str(events[-1].stream) in found
    assert str(events[0].stream) not in found
