"""Each event is sent three times, by several at once, while web server and database are killed."""

import random
from typing import Any
from uuid import UUID

import pytest

from tests.events.builders import rows
from tests.faults.ground import connected_to
from tests.faults.sender import purchase
from tests.faults.site import Site, eventually, site
from tests.faults.size import sized

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]
EVENTS, TIMES, SENDERS = sized(2_500, 10_000), 3, 4
DOUBTFUL = 40  # of each kind
WHAT_IS_STORED = """
SELECT count(*), count(DISTINCT event_id), count(DISTINCT stream) FROM events_event
WHERE type = 'item_purchased'
"""
GAPS = """
SELECT count(*) FROM (
    SELECT stream FROM events_event GROUP BY stream HAVING max(version) <> count(*)
) AS of_streams
"""


def orders(draw: random.Random) -> list[list[list[dict[str, Any]]]]:
    """Every event three times, in any order, in batches of all sizes, a list for each sender."""
    sent = [
        purchase(f"known-{number % 300}", str(UUID(int=draw.getrandbits(128), version=4)))
        for number in range(EVENTS)
    ]
    free = [purchase(f"known-{number}", unit_price="0") for number in range(DOUBTFUL)]
    nameless = [{**purchase("known-1"), "event_id": None} for _ in range(DOUBTFUL)]
    for event in nameless:
        event["type"], event["data"] = "item_viewed", {"sku": "85123A"}
    items = (sent + free + nameless) * TIMES
    draw.shuffle(items)
    batches = []
    while items:
        size = draw.choice([1, 20, 100, 400])
        batches.append(items[:size])
        items = items[size:]
    return [batches[number::SENDERS] for number in range(SENDERS)]


def done(found: Site) -> float:
    """The share of what there is to send that has been answered."""
    return sum(len(attempt["ids"]) for attempt in found.answered()) / (EVENTS * TIMES)


@pytest.mark.timeout(900)
def test_events_sent_three_times_across_restarts_are_stored_once_and_every_count_adds_up():
    with site() as found:
        found.start("web")
        stop = found.send(found.token(), orders(random.Random(7)))
        stop.touch()  # no more than the orders

        eventually(lambda: done(found) > 0.15, "some is sent")
        found.kill("web")
        found.start("web")
        eventually(lambda: done(found) > 0.4, "more is sent")
        found.cluster.kill()
        found.cluster.start()
        eventually(lambda: done(found) > 0.65, "still more is sent")
        found.kill("web")
        found.cluster.kill()
        found.cluster.start()
        found.start("web")
        eventually(lambda: all(s.poll() == 0 for s in found.senders), "all is sent")

        counts = found.counts()
        with connected_to(found.cluster.url):
            stored = rows(WHAT_IS_STORED)
            gaps = rows(GAPS)
        unanswered = [attempt for attempt in found.attempts() if attempt["status"] == 0]

    assert stored == [(EVENTS, EVENTS, 300)]
    assert gaps == [(0,)]
    assert unanswered  # or nothing was killed in the middle of a request
    received = counts.pop("received")
    assert received == sum(counts.values()) >= (EVENTS + 2 * DOUBTFUL) * TIMES
    assert (counts["accepted"], counts["quarantined"]) == (EVENTS, DOUBTFUL)
    assert counts["refused"] >= DOUBTFUL * TIMES
    assert counts["duplicate"] >= (EVENTS + DOUBTFUL) * (TIMES - 1)
