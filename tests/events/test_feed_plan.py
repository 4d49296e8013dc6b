"""The feed is read along its index, however large the table is and whatever is asked for."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from events.feed import FeedPosition, feed, last_position
from tests.builders import DAY, NOON
from tests.events.builders import PARTITIONS, rows

pytestmark = pytest.mark.django_db
ROWS, STREAMS = 50_000, 500
LIMIT = 50
FILL = """
INSERT INTO events_event (stream, version, event_id, type, schema_version, occurred_at, recorded_at,
    data, metadata, txid, epoch)
SELECT md5((n %% %(streams)s)::text)::uuid, 1 + n / %(streams)s, gen_random_uuid(),
    CASE WHEN n %% 10000 = 7 THEN 'item_returned' ELSE 'item_viewed' END, 1,
    %(noon)s + n * interval '1 minute', %(noon)s, '{"sku": "85123A"}', '{}',
    (10 + n / 5)::text::xid8, (SELECT events_current_epoch())
FROM generate_series(0, %(rows)s - 1) AS n
"""


@pytest.fixture
def large_table() -> None:
    """Transactions of five events; a type of which there are five events in all."""
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"rows": ROWS, "streams": STREAMS, "noon": NOON})
        cursor.execute("ANALYZE events_event")


def deep() -> FeedPosition:
    """A place in the middle of the feed."""
    (place,) = rows(
        "SELECT epoch, txid::text::bigint, position FROM events_event"
        f" ORDER BY epoch, txid, position OFFSET {ROWS // 2} LIMIT 1"
    )
    return FeedPosition(*place)


def plan_of(**asked: Any) -> dict[str, Any]:
    """How PostgreSQL has run this query of the feed."""
    return explained(lambda: feed(asked.pop("after", None), LIMIT, **asked))


def explained(ask) -> dict[str, Any]:
    with CaptureQueriesContext(connection) as captured:
        ask()
    ((answer,),) = rows("EXPLAIN (ANALYZE, FORMAT JSON) " + captured[-1]["sql"].replace("%", "%%"))
    plan = json.loads(answer) if isinstance(answer, str) else answer
    return plan[0]["Plan"]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)


def scans(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for node in nodes(plan) if node.get("Relation Name") in PARTITIONS]


def kinds(plan: dict[str, Any]) -> set[str]:
    return {node["Node Type"] for node in nodes(plan)}


def rows_read(plan: dict[str, Any]) -> float:
    removed = "Rows Removed by Filter"
    return sum(scan["Actual Rows"] + scan.get(removed, 0) for scan in scans(plan))


def walks_along_the_index(plan: dict[str, Any]) -> bool:
    scanned = scans(plan)
    by_index = all(scan["Node Type"].startswith("Index") for scan in scanned)
    its_own = all("epoch_txid_position" in scan["Index Name"] for scan in scanned)
    return bool(scanned) and by_index and its_own and "Sort" not in kinds(plan)


def test_the_table_is_so_large_that_a_plan_that_reads_it_all_would_show(large_table):
    whole = explained(lambda: rows("SELECT count(*) FROM events_event"))

    assert rows_read(whole) == ROWS


def test_a_page_reads_no_more_than_itself(large_table):
    plan = plan_of()

    assert walks_along_the_index(plan)
    assert "Merge Append" in kinds(plan)
    assert rows_read(plan) <= LIMIT + len(PARTITIONS)


def test_a_page_deep_in_the_feed_reads_no_more_than_itself(large_table):
    plan = plan_of(after=deep())

    assert walks_along_the_index(plan)
    assert rows_read(plan) <= LIMIT + len(PARTITIONS)


def test_the_end_of_the_feed_is_found_without_reading_it(large_table):
    plan = explained(last_position)

    assert walks_along_the_index(plan)
    assert rows_read(plan) <= len(PARTITIONS) + 1


@pytest.mark.parametrize("type_name", ["item_viewed", "item_returned", "item_never_seen"])
def test_a_type_is_sought_along_the_index_however_rare_it_is(large_table, type_name: str):
    for after in (None, deep()):
        assert walks_along_the_index(plan_of(after=after, type_name=type_name))


def test_a_time_is_sought_along_the_index(large_table):
    plan = plan_of(after=deep(), since=NOON + 2 * DAY, until=NOON + 2 * DAY + timedelta(minutes=3))

    assert walks_along_the_index(plan)


def test_one_customers_events_are_read_from_their_partition_and_no_others_are(large_table):
    (stream,) = rows("SELECT stream FROM events_event LIMIT 1")[0]

    plan = plan_of(pseudonym=UUID(str(stream)))

    assert {scan["Node Type"] for scan in scans(plan)} <= {
        "Index Scan",
        "Bitmap Heap Scan",
    }
    assert len({scan["Relation Name"] for scan in scans(plan)}) == 1
    assert rows_read(plan) <= ROWS / STREAMS + 1
