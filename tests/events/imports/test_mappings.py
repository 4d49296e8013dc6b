"""The mappings that come with DToC read what they are for, and what they say is checked."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import openpyxl
import pytest
from django.core.management import CommandError, call_command

from customers.selectors import lookup_identity
from events.detect import mapping_for
from events.errors import MappingInvalid, NoMappingFits, UnknownMapping
from events.mapping import load_mapping, mapping_names, mapping_sha256
from events.models import Event
from events.selectors import events_after
from tests.dtoc_project.test_docs import ROOT
from tests.events.imports.builders import csv_file, imported, line, ndjson_file

TWO_SHEETS = ["Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price",
              "Customer ID", "Country"]  # fmt: skip
OFFER = "9b98b8c7a33c4b65b9aebfe6a799e6d9"  # buy one, get one; open for seven days
START = datetime(2018, 7, 27, tzinfo=UTC)


def retail_row(order: str, day: int, sku: str = "22423", month: int = 12) -> list:
    return [
        order,
        sku,
        "HEART",
        6,
        datetime.fromisoformat(f"2010-{month:02}-{day:02} 08:26"),
        2.55,
        17850,
        "Nigeria",
    ]


def retail_workbook(path: Path) -> Path:
    """Two years whose sheets share the first days of December, as the publisher's do."""
    shared = [retail_row("536365", 1), retail_row("536365", 1), retail_row("536366", 9)]
    book = openpyxl.Workbook()
    first = book.active
    first.title = "Year 2009-2010"
    second = book.create_sheet("Year 2010-2011")
    for row in [TWO_SHEETS, retail_row("489434", 1, month=1), *shared]:
        first.append(row)
    for row in [TWO_SHEETS, *shared, retail_row("536367", 10), retail_row("C536379", 11)]:
        second.append(row)
    book.save(path)
    return path


def transcript() -> list[dict]:
    return [
        {"person": "p1", "event": "offer received", "value": {"offer id": OFFER}, "time": 0},
        {"person": "p1", "event": "offer viewed", "value": {"offer id": OFFER}, "time": 6},
        {"person": "p1", "event": "transaction", "value": {"amount": 13.23}, "time": 12},
        {
            "person": "p1", "event": "offer completed",
            "value": {"offer_id": OFFER, "reward": 5}, "time": 12,
        },
        {"person": "p2", "event": "transaction", "value": {"amount": 0.0}, "time": 12},
        {"person": "p2", "event": "offer received", "value": {"offer id": "unheard"}, "time": 12},
        {"person": "p2", "event": "offer lost", "value": {"offer id": OFFER}, "time": 12},
    ]  # fmt: skip


@pytest.mark.django_db
def test_both_sheets_of_online_retail_ii_are_read_and_the_days_they_share_once(tmp_path):
    path = retail_workbook(tmp_path / "online_retail_II.xlsx")

    report = imported(path, "online_retail_ii", chunk_rows=2)

    assert report.rows == 9
    assert report.counts == {("accepted", ""): 6, ("duplicate", ""): 3}
    events = events_after({lookup_identity("crm_id", "17850"): 1})
    assert Counter((e.data.order_id, e.data.line_no) for e in events) == Counter(
        [("489434", 1), ("536365", 1), ("536365", 2), ("536366", 1), ("536367", 1), ("C536379", 1)]
    )
    assert {e.data.country for e in events} == {"NG"}
    assert [e.type for e in events][-1] == "item_returned"


@pytest.mark.django_db
def test_the_csv_of_online_retail_ii_gives_the_same_events_as_the_workbook(tmp_path):
    imported(retail_workbook(tmp_path / "online_retail_II.xlsx"), "online_retail_ii")
    book = openpyxl.load_workbook(tmp_path / "online_retail_II.xlsx")
    told = [row for sheet in book for row in sheet.iter_rows(min_row=2, values_only=True)]
    path = tmp_path / "online_retail_II.csv"
    path.write_text("\n".join([",".join(TWO_SHEETS), *(",".join(map(str, r)) for r in told)]))

    report = imported(path, "online_retail_ii", chunk_rows=2)

    assert report.counts == {("duplicate", ""): 9}


@pytest.mark.django_db
def test_a_line_of_the_transcript_becomes_what_it_says(tmp_path):
    report = imported(ndjson_file(tmp_path / "transcript.jsonl", transcript()), "starbucks")

    assert report.counts == {
        ("accepted", ""): 4,
        ("quarantined", "price_not_positive"): 1,
        ("quarantined", "schema_error"): 1,  # nobody knows this offer
        ("quarantined", "unknown_type"): 1,
    }
    stream = lookup_identity("starbucks_id", "p1")
    assigned, seen, bought, redeemed = events_after({stream: 1})
    begun = int(START.timestamp() * 1000)
    assert [e.occurred_at_ms - begun for e in (assigned, seen, bought)] == [
        0,
        21_600_000,
        43_200_000,
    ]
    assert (assigned.data.kind, str(assigned.data.depth), assigned.data.arm) == (
        "bogo", "0.5", "treatment",
    )  # fmt: skip
    assert (assigned.data.valid_from, assigned.data.valid_until) == (START, START + timedelta(7))
    assert (bought.data.sku, str(bought.data.unit_price), bought.data.currency) == (
        "COFFEE", "13.23", "USD",
    )  # fmt: skip
    assert bought.data.order_id == str(bought.event_id)
    assert seen.data.offer_id == redeemed.data.offer_id == OFFER


@pytest.mark.django_db
def test_no_event_of_the_transcript_holds_the_name_of_its_person(tmp_path):
    imported(ndjson_file(tmp_path / "t.jsonl", [
        {**told, "person": f"a-person-{told['person']}"} for told in transcript()
    ]), "starbucks")  # fmt: skip

    for event in Event.objects.all():
        assert "a-person" not in json.dumps([event.data, event.metadata])


@pytest.mark.data
@pytest.mark.django_db
@pytest.mark.timeout(600)
def test_all_rows_of_the_public_transcript_add_up(public_data):
    path = public_data / "starbucks_transcript.parquet"
    assert mapping_for(path) == "starbucks"

    report = imported(path, "starbucks")

    # 121 rows repeat an `offer completed` exactly.
    assert report.rows == 162_139
    assert report.counts == {("accepted", ""): 162_018, ("duplicate", ""): 121}
    found = Counter(Event.objects.values_list("type", flat=True))
    assert found["item_purchased"] == 73_959
    assert found["offer_assigned"] == 40_818
    assert found["offer_viewed"] == 30_853
    assert found["offer_redeemed"] == 16_509 - 121
    assert found["customer_registered"] == 13_647


def messages() -> list[dict]:
    order = {"order_id": "o1", "currency": "EUR", "products": [
        {"sku": "s1", "quantity": 2, "price": 3.5}, {"sku": "s2", "quantity": 1, "price": 1.5},
    ]}  # fmt: skip
    common = {"timestamp": "2024-05-02T12:00:00Z", "sentAt": "2019-01-01T00:00:00Z"}
    return [
        {"type": "identify", "messageId": "m0", "userId": "u1", "anonymousId": "a1", **common},
        {
            "type": "track", "messageId": "m1", "userId": "u1", "event": "Order Completed",
            "properties": order, **common,
        },
        {
            "type": "track", "messageId": "m2", "anonymousId": "a1", "event": "Product Viewed",
            "properties": {"sku": "s1"}, **common,
        },
        {"type": "track", "messageId": "m3", "userId": "u1", **common},
        {"type": "alias", "messageId": "m4", **common},
    ]  # fmt: skip


@pytest.mark.django_db
def test_lines_of_messages_become_what_the_collector_makes_of_them(tmp_path):
    path = ndjson_file(tmp_path / "archive.ndjson", [*messages(), "no message"])

    report = imported(path, "segment", chunk_rows=2)

    assert report.rows == 6
    assert report.counts == {
        ("accepted", ""): 3,  # an identify, an order of two lines, a view
        ("quarantined", "schema_error"): 2,
        ("refused", "no_customer"): 1,
    }
    stream = lookup_identity("user_id", "u1")
    assert lookup_identity("anonymous_id", "a1") == stream
    events = events_after({stream: 1})
    assert sorted(e.type for e in events) == ["item_purchased", "item_purchased", "item_viewed"]
    noon = int(datetime(2024, 5, 2, 12, tzinfo=UTC).timestamp() * 1000)
    assert {e.occurred_at_ms for e in events} == {noon}  # the archive's own time, as it stands


@pytest.mark.django_db
def test_messages_imported_again_are_duplicates(tmp_path):
    path = ndjson_file(tmp_path / "archive.ndjson", messages()[:3])
    imported(path, "segment")

    assert imported(path, "segment").counts == {("duplicate", ""): 3}


def test_each_file_is_recognised_by_its_columns(tmp_path):
    retail = csv_file(tmp_path / "retail.csv", [line(1)])
    both_years = retail_workbook(tmp_path / "both.xlsx")
    starbucks = ndjson_file(tmp_path / "t.jsonl", transcript())
    archive = ndjson_file(tmp_path / "archive.ndjson.gz", messages())
    other = ndjson_file(tmp_path / "other.ndjson", [{"a": 1}])

    assert mapping_for(retail) == "online_retail"
    assert mapping_for(both_years) == "online_retail_ii"
    assert mapping_for(starbucks) == "starbucks"
    assert mapping_for(archive) == "segment"
    with pytest.raises(NoMappingFits, match=r"describe it in a \.toml file of"):
        mapping_for(other)


@pytest.mark.django_db
def test_without_a_mapping_the_command_takes_the_fitting_one_and_says_which(tmp_path):
    path = csv_file(tmp_path / "rows.csv", [line(1)])
    told = StringIO()

    call_command("import_events", str(path), stdout=StringIO(), stderr=told)

    assert "reading rows.csv by the mapping online_retail" in told.getvalue()
    assert Event.objects.filter(type="item_purchased").count() == 1


def own_mapping(folder: Path, text: str, **changes: str) -> Path:
    for old, new in changes.items():
        text = text.replace(old.replace("__", "."), new)
    path = folder / "my_shop.toml"
    path.write_text(text)
    return path


OWN = """
description = "My shop"
source = "my_shop"
occurred_at = "bought"
[customer]
kind = "crm_id"
column = "client"
[event_id]
key = ["order"]
[type]
column = "what"
table = "types"
[tables.types]
"sale" = "item_purchased"
[data.item_purchased]
order_id = "order"
line_no = { constant = 1 }
sku = { columns = ["article", "product"] }
quantity = "pieces"
unit_price = "price"
currency = { column = "land", table = "lands", of = "currency" }
country = { column = "land", table = "lands", of = "code" }
[tables.lands]
"Schweiz" = { code = "CH", currency = "CHF" }
"""


@pytest.mark.django_db
def test_a_mapping_of_ones_own_is_given_as_a_path(tmp_path):
    mapping = own_mapping(tmp_path, OWN)
    path = tmp_path / "sales.csv"
    path.write_text(
        "bought,client,order,what,article,product,pieces,price,land\n"
        "2024-05-02 14:00:00,K1,A1,sale,,P7,3,4.50,Schweiz\n"
    )

    call_command("import_events", str(path), mapping=str(mapping), stdout=StringIO())

    (event,) = events_after({lookup_identity("crm_id", "K1"): 1})
    assert (event.data.sku, event.data.country, event.data.currency) == ("P7", "CH", "CHF")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('line_no = { constant = 1 }', "line_no = {}", "line_no needs one of column"),
        ("{ constant = 1 }", '{ constant = 1, column = "order" }', "line_no needs one of column"),
        ('of = "code"', 'of = "iso"', r"\[tables.lands\] does not say iso for 'Schweiz'"),
        (', of = "code"', "", r"\[tables.lands\] does not say one value for 'Schweiz'"),
        ('table = "types"', 'table = "kinds"', r"there is no \[tables.kinds\]"),
        ("[data.item_purchased]", "[data.item_sold]", "unknown event types: item_sold"),
        ('source = "my_shop"', "", "missing required field `source`"),
        ('occurred_at = "bought"', "occurred_at = {column = 'h', start = 2020-01-01T00:00:00}",
         "occurred_at.start needs an offset"),
        ('source = "my_shop"', 'source = "my_shop"\ntimezone = "Berlin"', "no time zone Berlin"),
        ('source = "my_shop"', 'source = ', "my_shop.toml"),
    ],
)  # fmt: skip
def test_a_mapping_that_says_something_wrong_names_it_and_the_file_to_mend(
    tmp_path, old, new, told
):
    assert old in OWN
    path = own_mapping(tmp_path, OWN.replace(old, new))

    with pytest.raises(MappingInvalid, match=told) as error:
        load_mapping(str(path))
    assert f"mend {path}" in str(error.value)


def test_a_mapping_that_is_not_there_lists_those_that_are(tmp_path):
    with pytest.raises(UnknownMapping, match="online_retail, online_retail_ii, segment"):
        load_mapping(str(tmp_path / "none.toml"))
    with pytest.raises(CommandError, match="expected one of: online_retail"):
        call_command("import_events", str(csv_file(tmp_path / "a.csv", [])), mapping="shopify")


def test_equal_mappings_have_one_digest_wherever_they_lie(tmp_path):
    built_in = load_mapping("online_retail")
    copy = tmp_path / "copy.toml"
    copy.write_text((ROOT / "events/mappings/online_retail.toml").read_text())

    assert mapping_sha256(load_mapping(str(copy))) == mapping_sha256(built_in)
    assert len({mapping_sha256(load_mapping(name)) for name in mapping_names()}) == len(
        mapping_names()
    )


@pytest.mark.django_db
def test_a_time_with_an_offset_among_times_of_a_zone_stands_alone(tmp_path):
    mapping = own_mapping(tmp_path, OWN.replace(
        'source = "my_shop"', 'source = "my_shop"\ntimezone = "Europe/Berlin"'
    ))  # fmt: skip
    path = tmp_path / "sales.csv"
    times = ["2024-05-02 14:00:00", "2024-05-02T14:00:00Z", "never", "2024-05-02 14:00:00"]
    told = [f"{t},K1,A{n},sale,a1,,3,4.50,Schweiz" for n, t in enumerate(times)]
    path.write_text(
        "\n".join(["bought,client,order,what,article,product,pieces,price,land", *told])
    )

    report = imported(path, str(mapping))

    assert report.counts == {("accepted", ""): 3, ("quarantined", "schema_error"): 1}
    moments = Event.objects.filter(type="item_purchased").order_by("version")
    assert [e.occurred_at.hour for e in moments] == [12, 14, 12]
