"""Every format ends in the same chunks; what is broken in it stands apart and sinks nothing."""

import datetime
import gzip
import json
import subprocess
import sys
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.vault import open_body
from events.errors import ColumnsMissing, FileDamaged, FileUnsupported
from events.files import columns_of, format_of, open_rows
from events.files.ndjson import LONGEST_LINE
from events.models import Event, QuarantinedEvent
from tests.events.imports.builders import (
    HEADER,
    chunks_of,
    csv_file,
    imported,
    line,
    lines,
    ndjson_file,
)

SOME = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def records(told: list[str]) -> list[dict]:
    names = HEADER.split(",")
    return [dict(zip(names, row.split(","), strict=True)) for row in told]


def workbook(path: Path, sheets: dict[str, list[list]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def as_cells(told: list[str]) -> list[list]:
    """Cells as a spreadsheet keeps them: numbers are floats, times are times."""
    rows = []
    for row in told:
        order, sku, text, quantity, moment, price, customer, country = row.split(",")
        rows.append([
            int(order), int(sku), text, float(quantity),
            datetime.datetime.fromisoformat(moment), float(price), float(customer), country,
        ])  # fmt: skip
    return [HEADER.split(","), *rows]


@pytest.mark.django_db
def test_the_same_rows_in_all_eight_kinds_of_files_are_the_same_events(tmp_path):
    told = lines(12)
    frame = pd.DataFrame(records(told))
    frame.to_parquet(tmp_path / "rows.parquet")
    paths = [
        csv_file(tmp_path / "rows.csv", told),
        csv_file(tmp_path / "rows.csv.gz", told),
        ndjson_file(tmp_path / "rows.ndjson", records(told)),
        ndjson_file(tmp_path / "rows.ndjson.gz", records(told)),
        ndjson_file(tmp_path / "rows.jsonl", records(told)),
        ndjson_file(tmp_path / "rows.jsonl.gz", records(told)),
        tmp_path / "rows.parquet",
        workbook(tmp_path / "rows.xlsx", {"all": as_cells(told)}),
    ]

    reports = [imported(path, chunk_rows=7) for path in paths]

    assert reports[0].counts == {("accepted", ""): 60}
    assert [report.counts for report in reports[1:]] == [{("duplicate", ""): 60}] * 7


@given(
    kinds=st.lists(st.sampled_from(["good", "few", "many", "empty"]), max_size=40),
    rows_each=st.integers(1, 9),
    limit=st.none() | st.integers(1, 40),
)
@SOME
def test_csv_rows_keep_their_places_whatever_is_broken_between_them(
    tmp_path, kinds, rows_each, limit
):
    row = {"good": "{n},x", "few": "{n}", "many": "{n},x,y", "empty": ""}
    told = [row[kind].format(n=n) for n, kind in enumerate(kinds)]
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "".join(f"{text}\n" for text in told))
    real = [text for text in told if text][:limit]
    expected = [real[start : start + rows_each] for start in range(0, len(real), rows_each)]

    found = chunks_of(path, ["a", "b"], rows_each, limit)

    good = [[f"{a},{b}" for a, b in table] for table, _ in found]
    assert good == [[t for t in part if t.count(",") == 1] for part in expected]
    assert [broken for _, broken in found] == [
        [t for t in part if t.count(",") != 1] for part in expected
    ]


@given(
    kinds=st.lists(st.sampled_from(["good", "text", "array", "cut", "empty"]), max_size=40),
    rows_each=st.integers(1, 9),
)
@SOME
def test_ndjson_lines_keep_their_places_whatever_is_broken_between_them(tmp_path, kinds, rows_each):
    row = {"good": '{{"a": {n}}}', "text": '"{n}"', "array": "[{n}]", "cut": '{{"a": ', "empty": ""}
    told = ['{"a": "first"}', *(row[kind].format(n=n) for n, kind in enumerate(kinds))]
    path = tmp_path / "rows.ndjson"
    path.write_text("".join(f"{text}\n" for text in told))
    real = [text for text in told if text]
    expected = [real[start : start + rows_each] for start in range(0, len(real), rows_each)]

    found = chunks_of(path, ["a"], rows_each)

    def is_good(text: str) -> bool:
        return text.startswith('{"a": ') and text.endswith("}")

    assert [[str(a) for (a,) in table] for table, _ in found] == [
        [str(json.loads(t)["a"]) for t in part if is_good(t)] for part in expected
    ]
    assert [[b.strip() for b in broken] for _, broken in found] == [
        [t.strip() for t in part if not is_good(t)] for part in expected
    ]


@pytest.mark.django_db
def test_a_csv_cell_that_is_not_utf8_quarantines_its_row_and_no_other(tmp_path):
    path = tmp_path / "rows.csv"
    bad = line(2, sku="caf\xe9").encode("latin-1")
    path.write_bytes(b"\n".join([HEADER.encode(), line(1).encode(), bad, line(3).encode(), b""]))

    report = imported(path)

    assert report.counts == {("accepted", ""): 2, ("quarantined", "schema_error"): 1}
    (kept,) = QuarantinedEvent.objects.all()
    assert kept.detail == "the row is not UTF-8"
    assert "caf\ufffd" in json.loads(open_body(bytes(kept.body)))["row"]


@pytest.mark.django_db
def test_broken_lines_of_ndjson_are_quarantined_as_they_stand_and_known_again(tmp_path):
    told = records([line(1), line(2)])
    values = [told[0], '{"InvoiceNo": ', "[1, 2]", "[1, 2]", told[1]]
    path = ndjson_file(tmp_path / "rows.ndjson", values)

    first, again = imported(path, chunk_rows=2), imported(path)

    assert first.counts == {("accepted", ""): 2, ("quarantined", "schema_error"): 3}
    assert again.counts == {("duplicate", ""): 2, ("duplicate", "quarantined_before"): 3}
    kept = [json.loads(open_body(bytes(q.body)))["row"] for q in QuarantinedEvent.objects.all()]
    assert sorted(kept) == ["[1, 2]", "[1, 2]", '{"InvoiceNo": ']
    assert set(QuarantinedEvent.objects.values_list("form", flat=True)) == {"row"}


def test_a_line_of_ndjson_that_is_too_long_is_broken_and_the_next_one_is_read(tmp_path):
    long = json.dumps({"a": "x" * (LONGEST_LINE + 10)})
    path = ndjson_file(tmp_path / "rows.ndjson", [{"a": "1"}, long, {"a": "2"}])

    ((table, (broken,)),) = chunks_of(path, ["a"], 10)

    assert table == [("1",), ("2",)]
    assert len(broken) < 40_000


def test_nested_fields_are_dotted_columns_and_numbers_keep_their_digits(tmp_path):
    value = {"p": {"id": "o1", "lines": [1, 2]}, "n": 0.10000000000000000555, "b": True, "x": None}
    text = json.dumps(value).replace("0.1", "0.10000000000000000555")
    path = ndjson_file(tmp_path / "rows.ndjson", [text, {"p": "flat"}])

    ((table, broken),) = chunks_of(path, ["p.id", "p.lines", "n", "b", "x", "*"], 10)

    assert table[0] == ("o1", "[1,2]", "0.10000000000000000555", "true", None, text)
    assert table[1] == (None, None, None, None, None, '{"p": "flat"}')
    assert broken == []


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
def test_json_in_a_column_of_text_is_read_by_dotted_columns_and_bad_json_breaks_its_row(
    tmp_path, name
):
    frame = pd.DataFrame(
        {"who": ["a", "b", "c"], "value": ['{"x": {"y": 1.50}}', "{'x': 1}", None]}
    )
    path = tmp_path / name
    frame.to_parquet(path) if name.endswith("parquet") else frame.to_csv(path, index=False)

    ((table, broken),) = chunks_of(path, ["who", "value.x.y"], 10)

    assert table == [("a", "1.50"), ("c", None)]
    assert [json.loads(text)["who"] for text in broken] == ["b"]


def test_all_sheets_that_have_the_columns_are_read_in_their_order(tmp_path):
    path = workbook(
        tmp_path / "book.xlsx",
        {
            "Notes": [["for", "people"], ["a", "b"]],
            "One": [[], ["b", "a", "c"], [1, 536365, None], [None, None, None], [2.5, "x", True]],
            "Empty": [],
            "Two": [["a", "b"], [datetime.datetime.fromisoformat("2010-12-01 08:26"), 3]],
        },
    )  # fmt: skip

    found = chunks_of(path, ["a", "b"], 2)

    assert found == [
        ([("536365", "1"), ("x", "2.5")], []),
        ([("2010-12-01T08:26:00", "3")], []),
    ]
    assert columns_of(path) == ["for", "people"]
    with pytest.raises(ColumnsMissing, match="lacks the columns z, it has for, people"):
        open_rows(path, ["z"])


@pytest.mark.parametrize("name", ["a.xlsx", "a.parquet", "a.ndjson.gz", "a.csv.gz", "a.jsonl.gz"])
def test_a_file_that_is_something_else_is_damaged(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 not at all")

    with pytest.raises(FileDamaged, match="cannot be read after 0 rows"):
        list(open_rows(tmp_path / name, ["a"]).chunks(10))


def test_an_ndjson_file_whose_gzip_ends_early_yields_the_rows_before(tmp_path):
    values = [{"a": str(n), "more": f"{n * 7919:x}" * 5} for n in range(60_000)]
    path = ndjson_file(tmp_path / "rows.ndjson.gz", values)
    path.write_bytes(path.read_bytes()[:-5_000])

    chunks, read = open_rows(path, ["a"]).chunks(1_000), []

    def read_all() -> None:
        for chunk in chunks:
            read.extend(chunk.table.column("a").to_pylist())

    with pytest.raises(FileDamaged, match=r"after (\d+) rows"):
        read_all()

    assert read == [str(n) for n in range(len(read))]
    assert len(read) > 10_000


def test_the_format_is_told_by_the_name_in_any_case():
    assert format_of("ORDERS.CSV.GZ") == "csv"
    assert format_of("a.b.jsonl") == "ndjson"
    with pytest.raises(FileUnsupported, match=r"ends in '.xls', expected one of \.csv, \.csv\.gz"):
        format_of("a.xls")


@pytest.mark.parametrize("name", ["rows.csv.gz", "rows.ndjson.gz", "rows.parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path, name):
    peaks = []
    for rows in (300_000, 1_200_000):
        path = tmp_path / f"{rows}-{name}"
        text = [f"{n:09}{'x' * 120}" for n in range(rows)]
        if name.endswith("parquet"):
            pd.DataFrame({"a": text}).to_parquet(path, row_group_size=20_000)
        else:
            as_json = "ndjson" in name
            body = "".join(f'{{"a": "{t}"}}\n' if as_json else f"{t}\n" for t in text)
            path.write_bytes(gzip.compress(("" if as_json else "a\n").encode() + body.encode(), 1))
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout) // 1024)

    assert peaks[1] - peaks[0] < 60, peaks  # the larger one holds 116 MB of text more, unpacked


PEAK = r"""
import os, re, sys
from pathlib import Path
import django
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from events.files import open_rows
rows = sum(chunk.rows for chunk in open_rows(Path(sys.argv[1]), ["a"]).chunks(5_000))
print(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.django_db
def test_rows_behind_a_limit_are_not_stored(tmp_path):
    path = csv_file(tmp_path / "rows.csv", [*lines(3), "too,few", *lines(3)])

    report = imported(path, limit=17, chunk_rows=10)

    assert report.rows == 17
    assert report.counts == {("accepted", ""): 16, ("quarantined", "schema_error"): 1}
    assert Event.objects.filter(type="item_purchased").count() == 16
