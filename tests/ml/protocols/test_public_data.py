"""On the public data the protocols ask for what docs/evaluation.md says, and the rules reach it."""

from pathlib import Path

import numpy as np
import pytest

from ml.protocols.data import Lines, day_of, moment_ms
from ml.protocols.next_basket import (
    RETAIL_PRODUCTS,
    Baskets,
    NextBasket,
    first_ten,
    values,
)
from ml.protocols.next_basket_methods import REFERENCE, Counters, personal_by_recent
from ml.protocols.next_line import NextLine, score
from ml.protocols.next_line_methods import parts_of
from ml.protocols.thesis import Windows
from ml.protocols.thesis_rules import rules_inside
from ml.protocols.timing import rmse
from ml.rhythm.clock import WeekdayClock, calendar
from ml.rhythm.days import PurchaseDays
from ml.rhythm.posterior import GammaExponential, Nbd
from ml.rhythm.spells import Counts, Spells
from twins.protocol_lines import read_lines

pytestmark = pytest.mark.data
SPLIT, CUT = "2011-09-30", "2011-09-10"


@pytest.fixture(scope="module")
def retail(public_data: Path) -> Lines:
    return read_lines(public_data / "online_retail.parquet", "online_retail")


def test_the_csv_holds_the_same_lines(public_data: Path, retail: Lines):
    again = read_lines(public_data / "online_retail.csv.gz", "online_retail")
    assert (again.item == retail.item).all()
    assert (again.at_ms == retail.at_ms).all()
    assert (again.total == retail.total).all()


def test_next_line_asks_for_what_it_says(retail: Lines):
    task = NextLine.of(retail, moment_ms(SPLIT))
    strata = task.strata()
    assert (len(retail), retail.customers, len(retail.items)) == (397_924, 4_339, 3_665)
    assert int(task.learned.sum()) == 265_065
    assert len(task.targets) == 132_124
    assert int(task.known.sum()) == 125_191
    assert int(strata["first_of_order"].sum()) == 4_700
    assert int(strata["later_lines"].sum()) == 127_424
    assert int(strata["new_customers"].sum()) == 29_095


def test_rules_for_the_next_line_reach_what_was_measured(retail: Lines):
    task = NextLine.of(retail, moment_ms(SPLIT), sample=20_000)
    weights = {
        "own": {"own": 0.25, "popularity": 0.75},
        "markov": {"markov": 0.40, "popularity": 0.60},
    }
    parts = parts_of(task)
    found = {
        name: score(task, lambda rows, m=mix: sum(w * parts[p](rows) for p, w in m.items()))
        for name, mix in weights.items()
    }
    assert (found["own"].rank <= 10).mean() == pytest.approx(0.0678, abs=0.005)
    assert (found["markov"].rank <= 1).mean() == pytest.approx(0.0996, abs=0.006)
    assert np.nanmean(found["own"].nll) == pytest.approx(7.319, abs=0.04)


def test_next_basket_asks_for_what_it_says_and_the_reference_reaches_it(retail: Lines):
    task = NextBasket.of(Baskets.of(retail, RETAIL_PRODUCTS), moment_ms(SPLIT))
    assert len(task.targets) == 4_657
    assert len(task.vocabulary) == 3_494
    assert int(task.learned.sum()) == 13_014
    assert int(task.strata()["new_customers"].sum()) == 363
    reached = values(task, first_ten(personal_by_recent(Counters(task))))
    assert "28 days" in REFERENCE
    assert reached["ndcg_10"].mean() == pytest.approx(0.2735, abs=5e-4)
    assert reached["recall_10"].mean() == pytest.approx(0.1746, abs=5e-4)
    assert reached["hit_10"].mean() == pytest.approx(0.7228, abs=5e-4)


def test_timing_asks_for_what_it_says_and_the_rules_reach_it(retail: Lines):
    days, cut = PurchaseDays.of(retail), day_of(CUT)
    counts = Counts.of(days, cut)
    assert (len(counts.customer), int((counts.repeats > 0).sum())) == (3_370, 1_956)
    assert int(counts.bought.sum()) == 4_451
    assert rmse(Nbd.fit(counts).expected(counts, 90), counts.bought) == pytest.approx(
        1.509, abs=1e-3
    )
    learned, asked = Spells.of(days, 0, cut - 1), Spells.of(days, cut, cut + 89)
    assert (len(learned.start), len(asked.start), int(asked.observed.sum())) == (
        10_756,
        5_818,
        3_036,
    )
    plain = GammaExponential.fit(learned, calendar).log_likelihood(asked).mean()
    clock = WeekdayClock.fit(days, cut)
    weekly = GammaExponential.fit(learned, clock).log_likelihood(asked).mean()
    assert plain == pytest.approx(-2.3575, abs=1e-3)
    assert weekly == pytest.approx(-2.2703, abs=1e-3)


def test_the_thesis_windows_are_those_that_were_measured(retail: Lines):
    windows = Windows.of(retail)
    inside = rules_inside(windows)
    assert len(set(windows.item.ravel().tolist())) == 1_903
    assert inside["Markov, everybody's transitions"]["top_1"] == pytest.approx(0.2782, abs=1e-4)
    assert inside["Markov, the customer's transitions"]["top_1"] == pytest.approx(0.8842, abs=1e-4)
