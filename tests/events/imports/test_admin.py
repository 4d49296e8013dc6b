"""The admin's pages of imports and exports: everything to see, and one thing to do."""

from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User

from common.clock import now
from common.operations import fail_operation
from events.files import open_rows
from events.mapping import load_mapping
from events.models_imports import Export, Import
from events.services.importing import begin_import
from tests.builders import NOON
from tests.events.imports.builders import csv_file, imported, line, lines

pytestmark = pytest.mark.django_db
URL = "/admin/events/import/"


def waiting(path: Path) -> Import:
    mapping = load_mapping("online_retail")
    file = open_rows(path, mapping.columns())
    return begin_import(
        path=path, shown=path.name, file=file, digest="0" * 64, mapping=mapping, at=now(),
        requested_by="a test",
    )  # fmt: skip


def test_imports_are_listed_with_how_far_they_are(admin_client, tmp_path):
    imported(csv_file(tmp_path / "orders.csv", [*lines(3), line(8, price="0")]))

    page = admin_client.get(URL).content.decode()

    for told in ("orders.csv", "succeeded", "16 of 16 rows (100%)", "command line"):
        assert told in page


def test_an_imports_page_shows_its_report_and_what_went_wrong(admin_client, tmp_path):
    imported(csv_file(tmp_path / "orders.csv", [*lines(3), line(8, price="0")]))
    record = Import.objects.get()
    fail = waiting(csv_file(tmp_path / "other.csv", lines(1)))
    fail_operation(operation_id=fail.operation_id, code="x", detail="it is torn", at=now())

    page = admin_client.get(f"{URL}{record.id}/change/").content.decode()
    other = admin_client.get(f"{URL}{fail.id}/change/").content.decode()

    assert "accepted 15" in page
    assert "quarantined 1 (price_not_positive 1)" in page
    assert "it is torn" in other


def test_an_import_is_cancelled_by_those_who_may(admin_client, client, tmp_path):
    record = waiting(csv_file(tmp_path / "orders.csv", lines(1)))
    asked = {"action": "cancel", "_selected_action": [str(record.id)]}
    reader = User.objects.create_user("reader", password="x", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_import"))
    client.force_login(reader)

    client.post(URL, asked)
    record.operation.refresh_from_db()
    assert record.operation.status == "queued"

    admin_client.post(URL, asked)
    again = admin_client.post(URL, asked, follow=True)
    record.operation.refresh_from_db()
    assert record.operation.status == "cancelled"
    assert "is cancelled" in again.content.decode()


def test_exports_are_listed_with_where_they_lie(admin_client):
    Export.objects.create(location="/data/lake", file_format="parquet", state="whole", rows=7,
                          taken_at=NOON)  # fmt: skip

    assert "/data/lake" in admin_client.get("/admin/events/export/").content.decode()


@pytest.mark.parametrize("model", [Import, Export])
def test_nothing_can_be_added_changed_or_deleted(rf, admin_user, model):
    request = rf.get("/")
    request.user = admin_user
    page = admin.site.get_model_admin(model)

    assert not page.has_add_permission(request)
    assert not page.has_change_permission(request)
    assert not page.has_delete_permission(request)
