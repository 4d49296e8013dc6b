"""Importing files: everything is counted, again is harmless, a killed import goes on."""

import gzip
import os
import re
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from django.core.management import CommandError, call_command

from customers.selectors import lookup_identity
from events.mapping import load_mapping
from events.models import Event, QuarantinedEvent
from events.selectors import events_after, intake_counts
from events.services.importing import ImportReport, import_file
from tests.builders import NOON
from tests.events.builders import rows

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
GOOD = "536365,85123A,HEART,6,2010-12-01 08:26:00,2.55,17850,United Kingdom"
# Every case of the cleaning table that a file can hold, with where it ends.
CASES = [
    (GOOD, "accepted"),
    ("536365,71053,LANTERN,6,2010-12-01 08:26:00,3.39,17850,United Kingdom", "accepted"),
    (GOOD, "accepted"),  # a repeated row is a second line of the invoice: its rank differs
    ("C536379,22423,RETURNED,-1,2010-12-01 09:41:00,27.5,14527,EIRE", "accepted"),
    ("536370,post,POSTAGE,3,2010-12-01 08:45:00,18,12583,France", "accepted"),
    ("536371,85123a,LOWER,1,2010-12-01 08:50:00,2.50,12583,Unspecified", "accepted"),
    ("536372,22632,NEGATIVE,-2,2010-12-01 08:51:00,1.85,12583,RSA", "accepted"),
    ("536414,22139,,56,2010-12-01 11:52:00,0,17850,United Kingdom", "price_not_positive"),
    (
        "A563185,B,BAD DEBT,1,2011-08-12 14:50:00,-11062.06,17850,United Kingdom",
        "price_not_positive",
    ),
    ("536544,21773,NOBODY,1,2010-12-01 14:32:00,2.51,,United Kingdom", "no_customer"),
    ("536545,21774,NO QUANTITY,,2010-12-01 14:32:00,2.51,17850,United Kingdom", "schema_error"),
    ("536546,21775,NOTHING,0,2010-12-01 14:32:00,2.51,17850,United Kingdom", "schema_error"),
    ("536547,21776,NO TIME,1,yesterday,2.51,17850,United Kingdom", "schema_error"),
    ("536548,21777,ATLANTIS,1,2010-12-01 14:32:00,2.51,17850,Atlantis", "schema_error"),
    ("536549,21778,FUTURE,1,2910-12-01 14:32:00,2.51,17850,United Kingdom", "time_in_future"),
    ("536550,21779,TOO FEW,1", "schema_error"),
]


def write(path: Path, lines: list[str]) -> Path:
    text = "\n".join([HEADER, *lines]) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def imported(path: Path, **options) -> str:
    out = StringIO()
    call_command("import_events", str(path), mapping="online_retail", stdout=out, **options)
    return out.getvalue()


def counts(report: str) -> dict[str, int]:
    found = re.findall(r"^ *([a-z_]+(?: read)?) +([\d,]+)$", report, re.MULTILINE)
    return {name: int(number.replace(",", "")) for name, number in found}


def many_lines(orders: int, per_order: int = 7) -> list[str]:
    return [
        f"{600000 + order},{20000 + line},ITEM,{1 + line},2011-01-{1 + order % 28:02} 10:00:00,"
        f"{1 + line}.25,{15000 + order % 40},United Kingdom"
        for order in range(orders)
        for line in range(per_order)
    ]


def stored() -> list[tuple]:
    """All events but for what two imports cannot share: pseudonyms, positions and clocks."""
    return rows(
        "SELECT event_id, type, occurred_at, data::text, metadata::text, version FROM events_event"
        " WHERE type <> 'customer_registered' ORDER BY event_id"
    )


@pytest.mark.django_db
def test_every_case_of_cleaning_ends_where_it_should_and_the_report_adds_up(tmp_path):
    report = counts(imported(write(tmp_path / "cases.csv", [row for row, _ in CASES])))

    expected = [end for _, end in CASES]
    quarantined = [end for end in expected if end != "accepted"]
    assert report["rows read"] == len(CASES)
    assert report["accepted"] == expected.count("accepted")
    assert report["quarantined"] == len(quarantined)
    assert {name: report[name] for name in set(quarantined)} == {
        name: quarantined.count(name) for name in set(quarantined)
    }
    assert report["duplicates"] == report["refused"] == 0
    assert QuarantinedEvent.objects.count() == len(quarantined)


@pytest.mark.django_db
def test_rows_are_cleaned_on_their_way(tmp_path):
    imported(write(tmp_path / "cases.csv", [row for row, _ in CASES]))

    returned = events_after({lookup_identity("crm_id", "14527"): 1})
    french = events_after({lookup_identity("crm_id", "12583"): 1})
    british = events_after({lookup_identity("crm_id", "17850"): 1})

    assert [(e.type, e.data.quantity, e.data.country) for e in returned] == [
        ("item_returned", 1, "IE")
    ]
    assert [(e.data.sku, e.technical, e.data.country) for e in french] == [
        ("POST", True, "FR"),
        ("85123A", False, ""),
        ("22632", False, "ZA"),
    ]
    assert [e.type for e in french] == ["item_purchased", "item_purchased", "item_returned"]
    assert str(french[1].data.unit_price) == "2.5"
    assert [(e.data.sku, e.data.line_no) for e in british] == [
        ("85123A", 1),
        ("71053", 2),
        ("85123A", 3),
    ]


@pytest.mark.django_db
def test_importing_twice_gives_only_duplicates(tmp_path):
    path = write(tmp_path / "cases.csv", [row for row, _ in CASES])
    imported(path)
    before = stored(), QuarantinedEvent.objects.count()

    report = counts(imported(path))

    assert report["duplicates"] == report["rows read"] == len(CASES)
    assert (stored(), QuarantinedEvent.objects.count()) == before


@pytest.mark.django_db
def test_the_same_rows_as_csv_gzip_and_parquet_are_the_same_events(tmp_path):
    lines = many_lines(20)
    frame = pd.read_csv(write(tmp_path / "rows.csv", lines), parse_dates=["InvoiceDate"])
    frame["CustomerID"] = frame["CustomerID"].astype("float64")  # as a column with gaps would be
    frame.to_parquet(tmp_path / "rows.parquet")

    first = counts(imported(tmp_path / "rows.csv"))
    others = [
        counts(imported(write(tmp_path / "rows.csv.gz", lines))),
        counts(imported(tmp_path / "rows.parquet")),
    ]

    assert first["accepted"] == 140
    assert [report["duplicates"] for report in others] == [140, 140]


@pytest.mark.django_db
@pytest.mark.parametrize("chunk_rows", [1, 3, 50])
def test_ranks_within_an_order_do_not_depend_on_where_chunks_end(tmp_path, chunk_rows):
    lines = many_lines(8)
    lines.append(lines[0])  # an order that comes back much later
    path = write(tmp_path / "rows.csv", lines)
    imported(path, chunk_rows=chunk_rows)

    again = counts(imported(path, chunk_rows=1_000))

    assert again["duplicates"] == len(lines)
    numbers = rows("SELECT data->>'line_no' FROM events_event WHERE data->>'order_id' = '600000'")
    assert sorted(int(number) for (number,) in numbers) == list(range(1, 9))


@pytest.mark.django_db
def test_a_limit_stops_after_so_many_rows_and_the_rest_can_follow(tmp_path):
    path = write(tmp_path / "rows.csv", many_lines(10))

    first = counts(imported(path, limit=25, chunk_rows=10))
    rest = counts(imported(path))

    assert (first["rows read"], first["accepted"]) == (25, 25)
    assert (rest["duplicates"], rest["accepted"]) == (25, 45)


@pytest.mark.django_db
def test_the_counters_agree_with_the_report(tmp_path):
    imported(write(tmp_path / "cases.csv", [row for row, _ in CASES]))

    found = intake_counts()
    assert found["online_retail", "received", ""] == len(CASES)
    assert sum(n for (_, name, _), n in found.items() if name != "received") == len(CASES)


def test_a_report_that_does_not_add_up_is_an_error():
    report = ImportReport(rows=3)
    report.counts["accepted", ""] = 2

    with pytest.raises(Exception, match="3 rows were read but 2 were counted"):
        report.check()


@pytest.mark.django_db
def test_a_synthetic_shops_file_is_imported_with_its_offers(tmp_path):
    start, end = pd.Timestamp("2010-01-30", tz="UTC"), pd.Timestamp("2010-02-13", tz="UTC")
    line = {
        "event_type": "item_purchased", "customer": "C000001", "occurred_at": start,
        "order_id": "C000001-00028", "line_no": 1, "sku": "S0001", "quantity": 2,
        "unit_price": 1.8, "list_price": 2.0, "currency": "GBP", "country": "GB",
    }  # fmt: skip
    offer = {
        "event_type": "offer_assigned", "customer": "C000001", "occurred_at": start,
        "offer_id": "o1", "campaign_id": "w1", "offer_kind": "discount", "depth": 0.1,
        "arm": "treatment", "valid_from": start, "valid_until": end,
    }  # fmt: skip
    pd.DataFrame([offer, line, {**line, "event_type": "item_returned", "quantity": 1}]).to_parquet(
        tmp_path / "shop.parquet"
    )

    report = import_file(
        path=tmp_path / "shop.parquet", mapping=load_mapping("synthetic_shop"), at=NOON
    )

    events = events_after({lookup_identity("crm_id", "C000001"): 1})
    assert report.counts == {("accepted", ""): 3}
    assert [event.type for event in events] == ["offer_assigned", "item_purchased", "item_returned"]
    assert str(events[0].data.depth) == "0.1"
    assert str(events[1].data.list_price) == "2"


def problem_of(path: Path, mapping: str = "online_retail") -> str:
    with pytest.raises(CommandError) as error:
        call_command("import_events", str(path), mapping=mapping, stdout=StringIO())
    return str(error.value)


@pytest.mark.django_db
class TestProblems:
    """Each names what is wrong and what to do, and none is a traceback."""

    def test_a_missing_file(self, tmp_path):
        assert "is not there, expected a file" in problem_of(tmp_path / "none.csv")

    def test_a_folder(self, tmp_path):
        assert "is a folder, expected a file" in problem_of(tmp_path)

    def test_an_unknown_mapping_lists_the_known_ones(self, tmp_path):
        problem = problem_of(tmp_path / "none.csv", mapping="nothing")
        assert "online_retail, online_retail_ii, segment, starbucks, synthetic_shop" in problem

    def test_an_unsupported_extension(self, tmp_path):
        path = tmp_path / "rows.xls"
        path.write_text("x")
        assert "ends in '.xls', expected one of .csv, .csv.gz, .ndjson" in problem_of(path)

    def test_wrong_columns_says_which_are_missing_and_which_are_there(self, tmp_path):
        path = tmp_path / "rows.csv"
        path.write_text("InvoiceNo,Amount\n1,2\n")
        problem = problem_of(path)
        assert "lacks the columns InvoiceDate, CustomerID" in problem
        assert "it has InvoiceNo, Amount" in problem

    def test_wrong_columns_of_a_parquet_file(self, tmp_path):
        pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "rows.parquet")
        assert "it has a" in problem_of(tmp_path / "rows.parquet")

    def test_an_empty_file(self, tmp_path):
        (tmp_path / "rows.csv").write_text("")
        assert "lacks the columns" in problem_of(tmp_path / "rows.csv")

    @pytest.mark.parametrize("name", ["rows.parquet", "rows.csv.gz"])
    def test_a_file_that_is_something_else(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"not at all" * 100)
        assert "cannot be read after 0 rows" in problem_of(tmp_path / name)

    def test_a_gzip_file_that_ends_early_keeps_the_rows_before(self, tmp_path):
        path = write(tmp_path / "rows.csv.gz", many_lines(12_000))
        path.write_bytes(path.read_bytes()[:-2_000])
        problem = problem_of(path)

        # The reader looks ahead, so how many rows it hands out before the damage is not fixed.
        read = re.search(r"cannot be read after (\d+) rows", problem)
        assert read is not None, problem
        assert Event.objects.filter(type="item_purchased").count() == int(read[1])

    def test_a_parquet_file_that_ends_early(self, tmp_path):
        path = tmp_path / "rows.parquet"
        pd.read_csv(write(tmp_path / "rows.csv", many_lines(9))).to_parquet(path)
        path.write_bytes(path.read_bytes()[:-200])
        assert "cannot be read" in problem_of(path)

    def test_a_file_with_a_header_only_is_an_empty_import(self, tmp_path):
        assert counts(imported(write(tmp_path / "rows.csv", [])))["rows read"] == 0

    @pytest.mark.parametrize("option", ["limit", "chunk_rows"])
    def test_a_count_below_one(self, tmp_path, option):
        with pytest.raises(CommandError, match="is 0, expected 1 up"):
            imported(tmp_path / "rows.csv", **{option: 0})


@pytest.mark.faults
@pytest.mark.usefixtures("committed")
def test_an_import_that_was_killed_and_run_again_equals_one_that_was_not(tmp_path, environment):
    path = write(tmp_path / "rows.csv", [*many_lines(900), *(row for row, _ in CASES)])
    command = [
        sys.executable,
        "manage.py",
        "import_events",
        str(path),
        "--mapping=online_retail",
        "--chunk-rows=200",
    ]
    first = subprocess.Popen(
        command,
        env={**environment, "PYTHONFAULTHANDLER": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 90
    while Event.objects.count() < 600:
        if first.poll() is not None or time.monotonic() > deadline:
            first.send_signal(signal.SIGABRT)  # a process that hangs tells where
            pytest.fail(str(first.communicate()))
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    after_kill = Event.objects.count()

    second = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    resumed, quarantined = stored(), QuarantinedEvent.objects.count()

    report = counts(second.stdout)
    assert first.returncode == -signal.SIGKILL
    assert 600 <= after_kill < 6_300
    assert report["rows read"] == 6_300 + len(CASES)
    assert report["duplicates"] == 0  # the report is that of one import
    assert "going on after row" in second.stderr
    assert resumed == uninterrupted(path)
    assert quarantined == QuarantinedEvent.objects.count()


def uninterrupted(path: Path) -> list[tuple]:
    """What the same import leaves in a store that was empty before."""
    from django.core.management import call_command as command

    from tests.events.builders import empty_event_store

    command("flush", verbosity=0, interactive=False)
    empty_event_store()
    imported(path, chunk_rows=200)
    return stored()
