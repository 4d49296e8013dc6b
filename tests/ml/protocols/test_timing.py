"""Protocol C: spells, counts, and what the fitted models make of known shops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import NothingToPredict
from ml.protocols.run_timing import NBD, run
from ml.protocols.timing import (
    CustomerDraws,
    Gaps,
    auc,
    bias,
    calibration,
    deciles,
    mae,
    rmse,
    spearman,
    top_decile,
)
from ml.protocols.timing_models import exponential, kaplan_meier
from ml.rhythm.clock import WeekdayClock, calendar, weekday
from ml.rhythm.days import PurchaseDays
from ml.rhythm.posterior import GammaExponential, GammaGamma, Nbd
from ml.rhythm.regression import RecencyRegression
from ml.rhythm.spells import Counts, Spells
from tests.ml.protocols.builders import OPENING_DAY, shop, shops

D = OPENING_DAY
SHOP = shop(
    [
        ("ann", 0, "1", "a"),
        ("ann", 0, "2", "a"),
        ("ann", 10, "3", "a"),
        ("ann", 30, "4", "a"),
        ("ann", 32, "5", "b"),
        ("bob", 5, "6", "a"),
        ("cat", 35, "7", "a"),
    ]
)
DAYS = PurchaseDays.of(SHOP)


def poisson_shop(customers: int, days: int, seed: int, shape=0.8, scale=40.0) -> PurchaseDays:
    """Customers whose rates are gamma distributed, each seen from a first day on."""
    luck = np.random.default_rng(seed)
    rows = []
    for customer in range(customers):
        first = int(luck.integers(0, days - 30))
        rate = luck.gamma(shape) / scale
        later = np.flatnonzero(luck.random(days - first - 1) < -np.expm1(-rate)) + first + 1
        rows += [(customer, D + day) for day in [first, *later.tolist()]]
    who, when = np.array(rows).T
    return PurchaseDays(who, when, np.full(len(who), 10.0))


def test_a_purchase_day_is_one_however_many_orders_it_has():
    assert DAYS.day.tolist() == [D, D + 10, D + 30, D + 32, D + 5, D + 35]
    assert DAYS.spend.tolist() == [4, 2, 2, 2, 2, 2]
    assert DAYS.number.tolist() == [0, 1, 2, 3, 0, 0]
    assert DAYS.first_day.tolist() == [D, D, D, D, D + 5, D + 35]


def test_spells_end_with_a_purchase_day_or_are_watched_to_the_end():
    spells = Spells.of(DAYS, D + 5, D + 34)
    assert spells.start.tolist() == [D + 10, D + 30, D + 32, D + 5]
    assert spells.end.tolist() == [D + 30, D + 32, D + 34, D + 34]
    assert spells.observed.tolist() == [True, True, False, False]
    assert spells.number.tolist() == [1, 2, 3, 0]


def test_counts_are_of_customers_seen_before_the_cut():
    counts = Counts.of(DAYS, D + 20, horizon=14)
    assert counts.customer.tolist() == [0, 1]
    assert counts.repeats.tolist() == [1, 0]
    assert counts.last.tolist() == [10, 0]
    assert counts.seen.tolist() == [19, 14]
    assert counts.recent.tolist() == [1, 0]
    assert counts.bought.tolist() == [2, 0]
    assert counts.spend.tolist() == [6, 2]
    assert counts.repeat_spend.tolist() == [2, 0]
    assert counts.revenue.tolist() == [4, 0]
    for cut in (D - 1, D + 100):
        with pytest.raises(NothingToPredict):
            Counts.of(DAYS, cut)


def test_a_weekday_is_a_weekday():
    assert weekday(np.array([0, 3, 4, OPENING_DAY])).tolist() == [3, 6, 0, 2]


def test_the_probabilities_of_all_ends_sum_to_one():
    fitted = GammaExponential(0.7, 60.0, calendar)
    ends = np.arange(D + 11, D + 3_000)
    spells = Spells(
        customer=np.zeros(len(ends), int),
        first=np.full(len(ends), D),
        start=np.full(len(ends), D + 10),
        end=ends,
        observed=np.ones(len(ends), bool),
        number=np.ones(len(ends), int),
    )
    beyond = (70 / (70 + 2_989)) ** 1.7
    assert np.exp(fitted.log_likelihood(spells)).sum() + beyond == pytest.approx(1, abs=1e-6)


def test_a_clock_stands_still_on_days_without_business():
    open_days = [day for day in range(70) if weekday(np.array([D + day]))[0] != 5]
    days = PurchaseDays(np.arange(len(open_days)), D + np.array(open_days), np.ones(len(open_days)))
    clock = WeekdayClock.fit(days, D + 70)
    assert clock.factors[5] == 0
    assert sum(clock.factors) == pytest.approx(7)
    moments = clock(np.arange(D, D + 15))
    assert (np.diff(moments) >= 0).all()
    assert moments[14] - moments[0] == pytest.approx(14)
    saturday = next(day for day in range(7) if weekday(np.array([D + day]))[0] == 5)
    assert clock(np.array([D + saturday])) == clock(np.array([D + saturday - 1]))


def test_fits_find_the_rates_that_made_the_shop():
    days = poisson_shop(1_500, 300, seed=0)
    learned = Spells.of(days, 0, D + 299)
    found = GammaExponential.fit(learned, calendar)
    assert found.shape == pytest.approx(0.8, rel=0.2)
    assert found.scale == pytest.approx(40, rel=0.25)
    counted = Nbd.fit(Counts.of(days, D + 250, horizon=40))
    assert counted.shape == pytest.approx(0.8, rel=0.25)
    assert counted.scale == pytest.approx(40, rel=0.3)
    asked = Spells.of(days, D + 200, D + 290)
    own = found.log_likelihood(asked).mean()
    assert own > kaplan_meier(learned, asked).mean() > exponential(learned, asked).mean()


def test_nbd_expects_what_happens_where_its_assumptions_hold():
    days = poisson_shop(3_000, 300, seed=1)
    counts = Counts.of(days, D + 250, horizon=45)
    predicted = Nbd.fit(counts).expected(counts, 45)
    assert bias(predicted, counts.bought.astype(float)) == pytest.approx(1, abs=0.1)
    assert auc(predicted, counts.bought.astype(float)) > 0.65


def test_the_regression_learns_at_earlier_cuts_only():
    days = poisson_shop(600, 400, seed=3)
    cut = D + 300
    counts = Counts.of(days, cut, horizon=45)
    found = RecencyRegression.fit(days, cut, horizon=45)
    predicted = found.expected(days, cut)
    assert bias(predicted, counts.bought.astype(float)) == pytest.approx(1, abs=0.15)
    assert auc(predicted, counts.bought.astype(float)) > 0.65
    past = days.rows(days.day < cut)
    again = RecencyRegression.fit(past, cut, horizon=45)
    assert np.array_equal(found.weights, again.weights)
    assert np.array_equal(predicted, again.expected(past, cut))
    assert RecencyRegression.fit(days, D + 40, horizon=45) is None


def test_gamma_gamma_shrinks_towards_everybody():
    counts = Counts.of(poisson_shop(400, 300, seed=2), D + 250, horizon=45)
    luck = np.random.default_rng(0)
    level = 2 * 300 / luck.gamma(3, size=len(counts.customer))
    kept = {name: getattr(counts, name) for name in Counts.__dataclass_fields__}
    kept["repeat_spend"] = level * np.array(
        [luck.gamma(2 * x) / 2 if x else 0 for x in counts.repeats]
    )
    kept["spend"] = kept["repeat_spend"] + level
    known = Counts(**kept)
    expected = GammaGamma.fit(known).expected(known)
    own = known.spend / (known.repeats + 1)
    assert expected.std() < own.std()
    few, many = known.repeats == 0, known.repeats >= 5
    assert np.abs(expected - own)[many].mean() < np.abs(expected - own)[few].mean()


def test_gaps_are_predicted_from_what_was_known_when_they_began():
    gaps = Gaps.of(DAYS, D + 20, horizon=14)
    assert gaps.days.tolist() == [20, 2]
    assert gaps.number.tolist() == [1, 2]
    rules = gaps.rules()
    assert rules["overall median"].tolist() == [10, 10]  # of the one gap that ended before
    assert rules["own mean gap"].tolist() == [10, 15]
    assert rules["own median, two overall medians added"].tolist() == [10, (2 * 15 + 20) / 4]


def test_statistics_have_their_known_values():
    predicted, actual = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 0.0, 1.0, 5.0])
    assert rmse(predicted, actual) == pytest.approx(np.sqrt((1 + 4 + 4 + 1) / 4))
    assert mae(predicted, actual) == 1.5
    assert bias(predicted, actual) == pytest.approx(10 / 6)
    assert auc(predicted, actual) == 1
    assert auc(-predicted, actual) == 0
    assert auc(np.ones(4), actual) == 0.5
    assert spearman(predicted, actual) == pytest.approx(
        np.corrcoef([1, 2, 3, 4], [1.5, 1.5, 3, 4])[0, 1]
    )
    assert top_decile(predicted, actual) == pytest.approx(5 / 6)
    assert [row["customers"] for row in deciles(predicted, actual)] == [1] * 4
    assert calibration(actual, actual) == 0


@settings(max_examples=30)
@given(st.permutations(range(12)), st.integers(0, 5))
def test_the_order_of_customers_changes_no_statistic(order, seed):
    luck = np.random.default_rng(seed)
    predicted, actual = luck.random(12), luck.integers(0, 4, 12).astype(float)
    for statistic in (rmse, mae, bias, auc, spearman):
        moved = statistic(predicted[list(order)], actual[list(order)])
        assert moved == pytest.approx(statistic(predicted, actual), nan_ok=True)


def test_an_interval_of_a_statistic_holds_its_value():
    luck = np.random.default_rng(0)
    actual = luck.poisson(1.5, 200).astype(float)
    figure = CustomerDraws(200, draws=200, seed=0).figure(rmse, np.full(200, 1.5), actual)
    assert figure["low"] < figure["value"] < figure["high"]
    ratio = CustomerDraws(200, draws=50, seed=0).ratio(rmse, actual + 1, actual + 2, actual)
    assert ratio["value"] == pytest.approx(-0.5)


@settings(max_examples=30)
@given(shops(), st.data())
def test_what_comes_later_changes_no_prediction(lines, data):
    """Fits and predictions rest on the days before the cut alone."""
    whole = PurchaseDays.of(lines)
    cut = D + 30
    later = whole.rows((whole.day < cut) | (whole.day >= cut + data.draw(st.integers(0, 12))))
    if not (later.day >= cut).any():
        return
    one, two = Counts.of(whole, cut), Counts.of(later, cut)
    for name in ("customer", "repeats", "last", "seen", "recent", "spend", "repeat_spend"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    spells = [Spells.of(days, 0, cut - 1) for days in (whole, later)]
    for name in ("start", "end", "observed", "number"):
        assert np.array_equal(getattr(spells[0], name), getattr(spells[1], name)), name


def test_a_run_reports_all_five_tables():
    lines = shop([(f"c{n % 40}", 3 * n % 211, f"o{n}", "a") for n in range(900)])
    report = run(lines, cut_day=D + 120, draws=20)
    titles = [table.title for table in report.tables()]
    assert len(titles) == 8
    assert "count.rmse" in report.methods[NBD]
    assert report.methods["gamma-exponential"]["log_likelihood"]["value"] < 0


def test_a_model_is_asked_at_every_cut_beside_the_rules():
    lines = shop([(f"c{n % 40}", 3 * n % 211, f"o{n}", "a") for n in range(900)])
    asked = []

    def truth(counts, cut_day, horizon):
        asked.append((cut_day, horizon))
        return counts.bought.astype(float)

    report = run(lines, cut_day=D + 200, draws=20, cut_scorers={"who knows it": truth})

    gains = {k: v for k, v in report.methods["who knows it"].items() if k.endswith("rmse_gain")}
    assert len(asked) == len(gains) > 1
    assert {figure["value"] for figure in gains.values()} == {-1.0}
    assert any("who knows it -1.000" in note for note in report.notes)
