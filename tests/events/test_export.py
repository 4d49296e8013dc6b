"""Exports: what is read back is what is stored; half an export is none; erasure reaches them."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from uuid import UUID, uuid4

import pandas as pd
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from customers.erasure import Needles
from customers.identities import Newcomer
from customers.scan.sought import sha256_of
from customers.services import erase_now, register_customers
from events.catalogue import ItemReturned
from events.errors import ExportDamaged, ExportFolderInUse, ExportMissing
from events.export_files import MANIFEST, PartsWriter, read_manifest
from events.feed import last_position
from events.models_imports import Export
from events.services import NewEvent, append_batch
from events.services.export_erasure import count_exported, scan_exported
from events.services.exporting import Filters, export_events, partial_folder, verify_export
from tests.builders import DAY, NOON
from tests.events.builders import OpenAppend, line, rows, viewed

pytestmark = pytest.mark.usefixtures("committed")
PATIENCE_SECONDS = 60
STORED = """
SELECT stream::text, version, event_id::text, type, schema_version, occurred_at, recorded_at,
    data, metadata FROM events_event ORDER BY stream, version
"""
PLAIN = ["stream", "version", "event_id", "type", "schema_version"]


def somebody() -> UUID:
    newcomer = Newcomer(kind="crm_id", value=f"c-{uuid4().hex}", country="GB")
    return register_customers(newcomers=[newcomer], at=NOON)[newcomer.key]


def bought(stream: UUID, day: int, **changes) -> NewEvent:
    return viewed(
        stream, type="item_purchased", data=line(**changes), occurred_at=NOON + day * DAY,
        metadata={"source": "shop"},
    )  # fmt: skip


def a_shop(customers: int = 4, days: int = 100) -> list[UUID]:
    """Customers with an order every ten days, over several months, and other events."""
    streams = [somebody() for _ in range(customers)]
    events = [
        bought(s, day, order_id=f"o{day}", unit_price=Decimal("1.25") + day, quantity=1 + day)
        for s in streams
        for day in range(0, days, 10)
    ]
    returned = ItemReturned(**{**_fields(line(country="")), "list_price": Decimal("3.00000000001")})
    events.append(viewed(streams[0], type="item_returned", data=returned))
    events.append(viewed(streams[0], occurred_at=NOON - 400 * DAY))
    append_batch(events=events, at=NOON)
    return streams


def _fields(struct) -> dict:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def exported(folder: Path, file_format: str = "parquet", **changes):
    return export_events(folder=folder, file_format=file_format, at=NOON, **changes)


def read_back(folder: Path) -> pd.DataFrame:
    paths = sorted(folder.glob("month=*/*.parquet"))
    tables = [pq.ParquetFile(path).read() for path in paths]
    frame = pd.concat([table.to_pandas() for table in tables], ignore_index=True)
    return frame.sort_values(["stream", "version"], ignore_index=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def test_an_export_read_back_equals_the_store_row_by_row(folder):
    a_shop()

    exported(folder)

    frame, stored = read_back(folder), rows(STORED)
    assert len(frame) == len(stored) == 4 * 10 + 2 + 4
    for got, (*facts, occurred_at, recorded_at, data, metadata) in zip(
        frame.itertuples(), stored, strict=True
    ):
        data, metadata = (v if isinstance(v, dict) else json.loads(v) for v in (data, metadata))
        assert [getattr(got, name) for name in PLAIN] == facts
        assert (got.occurred_at, got.recorded_at) == (occurred_at, recorded_at)
        assert (json.loads(got.data), json.loads(got.metadata)) == (data, metadata)
        is_line = got.type in ("item_purchased", "item_returned")
        expected = data if is_line else {}
        for name in ("order_id", "sku", "currency", "country"):
            told = getattr(got, name)
            assert (None if pd.isna(told) else told) == expected.get(name), name
        for name in ("unit_price", "list_price"):
            told = getattr(got, name)
            assert (told is None) == (expected.get(name) is None)
            assert told is None or told == Decimal(expected[name])
        assert (not is_line) or (got.quantity, got.line_no) == (data["quantity"], data["line_no"])


def test_every_month_is_a_folder_and_holds_its_events_only(folder):
    a_shop()

    exported(folder)

    months = {path.parent.name.removeprefix("month=") for path in folder.glob("*/*.parquet")}
    assert months == {"2010-03", "2011-05", "2011-06", "2011-07"}
    for path in folder.glob("*/*.parquet"):
        found = pq.ParquetFile(path).read().to_pandas()["occurred_at"]
        assert set(found.dt.strftime("%Y-%m")) == {path.parent.name.removeprefix("month=")}


def test_the_types_of_the_columns_are_fixed_even_where_a_month_has_no_order_line(folder):
    a_shop()

    exported(folder)

    schemas = {str(pq.read_schema(path)) for path in folder.glob("*/*.parquet")}
    assert len(schemas) == 1
    assert "unit_price: decimal128(22, 12)" in schemas.pop()


def test_ndjson_holds_the_same_events(folder, tmp_path):
    a_shop()
    exported(folder)
    exported(tmp_path / "lines", "ndjson")

    lines = [
        json.loads(told)
        for path in (tmp_path / "lines").glob("month=*/*.ndjson")
        for told in path.read_text().splitlines()
    ]
    lines.sort(key=lambda event: (event["stream"], event["version"]))

    frame = read_back(folder)
    assert [[e[n] for n in PLAIN] for e in lines] == frame[PLAIN].to_numpy().tolist()
    assert [e["data"] for e in lines] == [json.loads(text) for text in frame["data"]]
    assert [pd.Timestamp(e["occurred_at"]) for e in lines] == frame["occurred_at"].tolist()
    assert verify_export(folder=tmp_path / "lines").rows == len(lines)


def test_a_part_ends_after_so_many_rows(tmp_path):
    row = ["s", 1, "e", "t", 1, NOON, NOON, *[None] * 8, "{}", "{}"]
    writer = PartsWriter(tmp_path, "parquet", rows_per_part=3)

    writer.write("2011-05", [row] * 4)
    writer.write("2011-05", [row] * 3)
    writer.write("2011-06", [row])

    assert [(part.path, part.rows) for part in writer.close()] == [
        ("month=2011-05/part-0000.parquet", 3),
        ("month=2011-05/part-0001.parquet", 3),
        ("month=2011-05/part-0002.parquet", 1),
        ("month=2011-06/part-0000.parquet", 1),
    ]


def test_filters_take_one_type_and_the_times_from_since_to_before_until(folder, tmp_path):
    a_shop()
    until = NOON + 20 * DAY

    exported(folder, filters=Filters("item_purchased", NOON + 10 * DAY, until))

    frame = read_back(folder)
    assert set(frame["type"]) == {"item_purchased"}
    assert set(frame["occurred_at"]) == {pd.Timestamp(NOON + 10 * DAY)}
    assert read_manifest(folder).filters == {
        "type": "item_purchased",
        "since": "2011-05-12T12:00:00.000Z",
        "until": "2011-05-22T12:00:00.000Z",
    }


def test_an_export_ends_where_the_feed_does_and_says_where(folder):
    streams = a_shop(customers=1)
    slow = OpenAppend(viewed(somebody()))
    append_batch(events=[bought(streams[0], 1, order_id="behind")], at=NOON)

    manifest = exported(folder)

    position = last_position()
    slow.commit()
    assert "behind" not in set(read_back(folder)["order_id"])
    assert manifest.feed_position == {
        "epoch": position.epoch,
        "txid": position.txid,
        "position": position.position,
    }


def test_an_empty_store_is_an_export_of_nothing(folder):
    assert exported(folder).rows == 0
    assert verify_export(folder=folder).parts == []


def test_a_folder_that_holds_something_is_left_alone(folder):
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")

    for replace in (False, True):
        with pytest.raises(ExportFolderInUse):
            exported(folder, replace=replace)

    assert (folder / "thesis.tex").read_text() == "years of work"
    assert not Export.objects.exists()


def test_replace_puts_the_new_export_where_the_old_one_was(folder):
    streams = a_shop(customers=1)
    exported(folder)
    append_batch(events=[bought(streams[0], 1, order_id="new")], at=NOON)
    with pytest.raises(ExportFolderInUse, match="not empty"):
        exported(folder)

    exported(folder, replace=True)

    assert "new" in set(read_back(folder)["order_id"])
    assert verify_export(folder=folder)
    assert [path.name for path in folder.parent.iterdir()] == ["lake"]
    assert sorted(Export.objects.values_list("state", flat=True)) == ["gone", "whole"]


@pytest.mark.parametrize(
    "harm",
    [
        lambda part: part.unlink(),
        lambda part: part.write_bytes(part.read_bytes()[:-1]),
        lambda part: part.write_bytes(part.read_bytes()[:40] + b"\0" + part.read_bytes()[41:]),
        lambda part: part.with_name("part-0009.parquet").write_bytes(part.read_bytes()),
    ],
    ids=["missing", "short", "changed", "one too many"],
)
def test_verifying_finds_whatever_is_not_as_the_manifest_says(folder, harm):
    a_shop()
    exported(folder)
    assert verify_export(folder=folder)

    harm(min(folder.glob("month=*/*.parquet")))

    with pytest.raises(ExportDamaged):
        verify_export(folder=folder)


def test_a_manifest_whose_counts_are_wrong_does_not_verify(folder):
    a_shop()
    exported(folder)
    told = json.loads((folder / MANIFEST).read_text())
    told["parts"][0]["rows"] += 1
    told["rows"] += 1
    (folder / MANIFEST).write_text(json.dumps(told))

    with pytest.raises(ExportDamaged, match="rows, not"):
        verify_export(folder=folder)


def test_the_commands_export_verify_and_list(folder):
    a_shop()
    out = StringIO()

    call_command("export_events", str(folder), stdout=out)
    call_command("verify_export", str(folder), stdout=out)
    call_command("export_events", list=True, stdout=out)

    told = out.getvalue()
    assert "46 events in 4 files, as of" in told
    assert "46 events in 4 files: as the manifest says" in told
    assert f"whole              46 rows  parquet  {folder}" in told
    with pytest.raises(CommandError, match="holds no whole export"):
        call_command("verify_export", str(folder.parent))
    with pytest.raises(CommandError, match="not empty"):
        call_command("export_events", str(folder))


@pytest.mark.faults
def test_a_killed_export_leaves_nothing_that_verifies_and_the_next_one_clears_it_away(
    folder, environment
):
    streams = a_shop(customers=1)
    append_batch(events=[bought(streams[0], n % 90, line_no=n) for n in range(40_000)], at=NOON)
    command = [sys.executable, "manage.py", "export_events", str(folder), "--format=ndjson"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not list(folder.parent.glob(".lake.partial-*/month=*/*")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    (left,) = folder.parent.iterdir()
    for place in (folder, left):
        with pytest.raises(ExportMissing):
            verify_export(folder=place)
    while _is_held(Export.objects.get()):  # until the server has noticed
        assert time.monotonic() < deadline

    exported(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["lake"]
    assert verify_export(folder=folder).rows == 40_000 + 13
    assert sorted(Export.objects.values_list("state", flat=True)) == ["gone", "whole"]


def _is_held(export: Export) -> bool:
    from django.db import transaction

    from events.services.exporting import is_being_written

    with transaction.atomic():
        return is_being_written(export)


@pytest.mark.parametrize("file_format", ["parquet", "ndjson"])
def test_an_erasure_takes_the_person_out_of_every_export(folder, tmp_path, file_format):
    streams = a_shop()
    erased, *others = streams
    exported(folder, file_format)
    exported(tmp_path / "second", file_format, filters=Filters("item_purchased"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert count_exported(erased) == (10 + 2 + 1) + 10
    needles = Needles(pseudonym=erased, values=(), digests=())
    assert [(f.place, f.count) for f in scan_exported(needles)] == [("exports", 23)]

    request = erase_now(pseudonym=erased, requested_by="a test", at=NOON)

    assert request.status == "completed"
    assert request.receipt["body"]["stores"]["exports"] == {"found": 23, "deleted": 23}
    assert scan_exported(needles) == []
    for place, rows_left in ((folder, 46 - 13), (tmp_path / "second", 30)):
        manifest = verify_export(folder=place)
        assert manifest.rows == rows_left
        assert len(manifest.erased_at) == 1
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    if file_format == "ndjson":
        assert any(str(erased).encode() in content for content in before.values())
        assert not any(str(erased).encode() in path.read_bytes() for path in files)
        assert sum(str(others[0]).encode() in path.read_bytes() for path in files) > 2
    assert count_exported(others[0]) == 11 + 10


def test_an_export_that_is_being_written_keeps_the_erasure_open(folder):
    erased = somebody()
    begun = Export.objects.create(location=str(folder), file_format="parquet", taken_at=NOON)
    held = _Held(begun)

    request = erase_now(pseudonym=erased, requested_by="a test", at=NOON)
    assert request.status == "in_progress"
    assert [f["place"] for f in request.findings] == ["exports being written"]
    held.let_go()
    partial_folder(begun).mkdir()
    again = erase_now(pseudonym=erased, requested_by="a test", at=NOON + timedelta(hours=1))

    assert again.status == "completed"
    assert not partial_folder(begun).exists()  # its process was gone
    assert sha256_of(erased) == again.pseudonym_sha256


class _Held:
    """Another session that is writing the export, until it is told to stop."""

    def __init__(self, export: Export) -> None:
        import threading

        from tests.events.builders import in_other_connection

        self.begun, self.may_end = threading.Event(), threading.Event()
        self.export = export
        self.thread = in_other_connection(self._run)
        assert self.begun.wait(10)

    def _run(self) -> None:
        from events.services.exporting import _being_written

        with _being_written(self.export.id):
            self.begun.set()
            assert self.may_end.wait(10)

    def let_go(self) -> None:
        self.may_end.set()
        self.thread.join()
