"""Many processes append while others read: nothing lost, doubled or reordered.

The second half turns single rules off: a harness that would see nothing then would prove nothing.
"""

from pathlib import Path

import pytest

from tests.faults.crew import Plan
from tests.faults.logbook import logbook_of
from tests.faults.size import sized

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("committed")]
SMALL = {"writers": 4, "events": 2_000, "streams": 60, "largest_batch": 20}


@pytest.mark.timeout(900)
def test_eight_writers_and_two_readers_lose_double_and_reorder_nothing(
    environment: dict[str, str], tmp_path: Path
):
    plan = Plan(writers=8, events=sized(40_000, 200_000), streams=2_000)

    found = logbook_of(plan, tmp_path, environment)

    assert found.violations() == set(), found.complaints
    assert len(found.table) == plan.events + 8  # and those of the scenes
    assert [len(read) for read in found.read] == [len(found.table)] * plan.readers


def test_the_harness_finds_nothing_where_every_rule_is_kept(
    environment: dict[str, str], tmp_path: Path
):
    found = logbook_of(Plan(**SMALL), tmp_path, environment)

    assert found.violations() == set(), found.complaints


def test_the_harness_sees_a_feed_without_the_barrier(environment: dict[str, str], tmp_path: Path):
    found = logbook_of(Plan(**SMALL, sabotage="no barrier"), tmp_path, environment)

    assert found.violations() == {"lost for a reader"}, found.complaints


def test_the_harness_sees_writers_that_lock_late(environment: dict[str, str], tmp_path: Path):
    found = logbook_of(Plan(**SMALL, sabotage="late locks"), tmp_path, environment)

    assert found.violations() == {"a stream was read out of order"}, found.complaints


def test_the_harness_sees_writers_that_lock_in_any_order(
    environment: dict[str, str], tmp_path: Path
):
    found = logbook_of(Plan(**SMALL, sabotage="locks in any order"), tmp_path, environment)

    assert "a process failed" in found.violations()
    assert "deadlock detected" in found.complaints
