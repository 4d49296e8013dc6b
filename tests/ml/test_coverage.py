"""The coverage test: what a forecast may know, what is compared, and that a bad response shows."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from campaigns.intervals import prediction_interval
from ml.events import EventKind
from ml.response import LearnedResponse, NoOffersToLearnFrom
from ml.shop import ShopConfig, coverage, ground_truth, true_uplift
from ml.shop.coverage import LEARNED, MEASURES, WAVES, Forecast, Run, Task, one_run
from ml.shop.coverage_history import history_of
from ml.shop.coverage_report import Share, figures_of, nothing_is_zero, tables
from ml.shop.coverage_runs import many_runs
from ml.shop.truth import true_uplifts

SMALL = Task(
    customers=300, days=112, wave_every_days=28, horizon_days=14, lines_per_order=1.5,
    elasticity_mean=3.0, replicates=10, futures=2,
)  # fmt: skip
SEEDS = range(1, 6)


@pytest.fixture(scope="module", autouse=True)
def shops_once() -> Iterator[None]:
    """No shop of this module is made, nor its truth walked, more than once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coverage, "history_of", lru_cache(coverage.history_of))
        patch.setattr(coverage, "true_uplifts", lru_cache(coverage.true_uplifts))
        yield


@pytest.fixture(scope="module")
def runs(shops_once: None) -> list[Run]:
    return many_runs(SMALL, SEEDS, prediction_interval, learned_only=True)


def orders(runs: list[Run]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Forecast means, deviations of the forecasts, and expected uplifts."""
    found = [run.forecasts[LEARNED]["orders"] for run in runs]
    means = np.array([one.mean for one in found])
    deviations = np.array([one.high - one.low for one in found]) / (2 * 1.9)  # t, 9 degrees
    return means, deviations, np.array([run.expected["orders"] for run in runs])


def assert_sound(runs: list[Run]) -> None:
    means, deviations, truth = orders(runs)
    assert means.mean() > 0.4 * truth.mean()
    assert sum(run.forecasts[LEARNED]["orders"].holds(run.expected["orders"]) for run in runs) >= 3
    errors = np.sqrt(((means - truth) ** 2).mean())
    assert 0.4 < deviations.mean() / errors < 2.5


def test_a_learned_forecast_is_of_the_right_size_and_knows_how_wrong_it_is(runs):
    assert orders(runs)[2].min() > 0
    assert_sound(runs)


@pytest.mark.parametrize(
    "broken",
    [
        {"mean": lambda effect: -effect.mean},
        {"standard_error": lambda effect: 0.0, "between": lambda effect: 0.0},
    ],
    ids=["the wrong sign", "no uncertainty"],
)
def test_a_broken_response_is_noticed(monkeypatch, broken):
    effects = LearnedResponse.effects

    def wrong(self, replicates, seed):
        hazard, quantity = (
            replace(effect, **{name: change(effect) for name, change in broken.items()})
            for effect in (self.estimate.hazard, self.estimate.quantity)
        )
        estimate = replace(self.estimate, hazard=hazard, quantity=quantity)
        return effects(LearnedResponse(estimate=estimate), replicates, seed)

    monkeypatch.setattr(LearnedResponse, "effects", wrong)

    with pytest.raises(AssertionError):
        assert_sound(many_runs(SMALL, SEEDS, prediction_interval, learned_only=True))


def test_an_offer_of_nothing_brings_exactly_nothing_in_forecast_and_truth(runs):
    zero = nothing_is_zero(runs)
    uplift = true_uplift(SMALL.shop(1), depth=0.0, start_day=112, offer_days=14, horizon_days=14)

    assert zero.count == zero.runs == len(runs)
    assert (uplift.orders, uplift.buyers, uplift.revenue_cents) == (0, 0, 0)


def test_a_forecast_knows_nothing_of_what_comes_after_its_start():
    """The same shop going on for longer has the same past."""
    shop = SMALL.shop(1)
    longer = history_of(replace(shop, days=shop.days + 20))

    history = history_of(shop)

    before = longer.events.occurred_at_ms < history.end_ms
    known = history.events
    assert known.occurred_at_ms.max() < history.end_ms
    for name in ("customer", "occurred_at_ms", "order", "unit_price"):
        assert np.array_equal(getattr(longer.events, name)[before], getattr(known, name))
    assert [trial.name for trial in history.trials] == [t.name for t in longer.trials][:3]


def test_the_history_holds_the_waves_with_both_arms_and_who_bought_under_an_offer():
    history = history_of(ShopConfig(customers=300, days=100, seed=4, wave_every_days=28))

    assert [round(trial.opens_ms - history.end_ms) // 86_400_000 for trial in history.trials] == [
        -72, -44, -16,
    ]  # fmt: skip
    for trial in history.trials:
        assert trial.depth in (0.1, 0.2, 0.3)
        assert 0.3 < trial.treated.mean() < 0.7
        assert len(np.unique(trial.customer)) == len(trial.customer)
    depth = history.depth_of_lines()
    held = {(who, t.depth) for t in history.trials for who in t.customer[t.treated].tolist()}
    offered = depth > 0
    assert 0 < offered.mean() < 0.2
    assert set(zip(history.events.customer[offered].tolist(), depth[offered], strict=True)) <= held
    assert {int(kind) for kind in np.unique(history.events.kind)} == {
        int(EventKind.PURCHASED), int(EventKind.RETURNED),
    }  # fmt: skip


def test_the_truth_is_that_of_the_customers_whom_the_forecast_is_about(runs):
    shop = SMALL.shop(1)
    seen = np.unique(history_of(shop).events.customer)
    assert len(seen) < SMALL.customers
    asked = {"depth": SMALL.depth, "start_day": 112, "offer_days": 14, "horizon_days": 14}

    real, one, two = true_uplifts(shop, **asked, futures=(0, 1, 2))

    def added(uplift) -> int:
        return int(uplift.treated.orders[seen].sum() - uplift.control.orders[seen].sum())

    assert runs[0].realised["orders"] == added(real)
    assert runs[0].expected["orders"] == (added(one) + added(two)) / 2
    assert true_uplift(shop, **asked, future=2).orders == two.orders


def test_a_placebo_has_no_uplift_in_truth():
    shop = replace(SMALL, elasticity_mean=0.0).shop(3)

    uplift = true_uplift(shop, depth=0.2, start_day=112, offer_days=14, horizon_days=14)

    assert (ground_truth(shop).elasticity == 0).all()
    assert (uplift.orders, uplift.buyers) == (0, 0)
    assert uplift.revenue_cents < 0


def test_a_shop_without_waves_cannot_be_learned_from():
    with pytest.raises(NoOffersToLearnFrom):
        one_run(replace(SMALL, wave_every_days=0), 1, prediction_interval, learned_only=True)


def made_up(seed: int, mean: float, reach: float, truth: float) -> Run:
    found = Forecast(mean=mean, low=mean - reach, high=mean + reach)
    forecasts = {name: dict.fromkeys(MEASURES, found) for name in (LEARNED, WAVES)}
    nothing = dict.fromkeys(MEASURES, Forecast(mean=0.0, low=0.0, high=0.0))
    truths = dict.fromkeys(MEASURES, truth)
    return Run(
        seed=seed, forecasts=forecasts, nothing=nothing, expected=truths,
        realised=dict.fromkeys(MEASURES, truth + 2.0),
    )  # fmt: skip


def test_shares_errors_and_widths_are_counted_over_the_runs():
    runs = [made_up(1, 10.0, 3.0, 12.0), made_up(2, 10.0, 3.0, 20.0), made_up(3, 10.0, 3.0, 6.0)]

    figures = figures_of(runs)
    one = figures[0]

    assert [(f.measure, f.method) for f in figures][:2] == [("orders", LEARNED), ("orders", WAVES)]
    assert (one.expected.count, one.realised.count, one.zero.count) == (1, 1, 0)
    assert (one.too_low, one.too_high) == (1, 1)
    assert (one.forecast, one.width) == (10.0, 6.0)
    assert one.truth == pytest.approx(38 / 3)
    assert one.error == pytest.approx((120 / 3) ** 0.5)
    assert len(list(tables(SMALL, runs, []))) == 1


def test_a_share_comes_with_what_chance_may_do_to_it():
    share = Share.of([True] * 90 + [False] * 10)

    assert share.value == 0.9
    assert (round(share.low, 3), round(share.high, 3)) == (0.826, 0.945)  # Wilson
    assert str(share) == "90.0% [82.6%, 94.5%]"


def test_the_command_prints_and_writes_the_figures(tmp_path, monkeypatch):
    asked = {}

    def quick(task, seeds, interval, *, workers, on_run, learned_only=False):
        asked[learned_only] = (task, seeds, interval, workers)
        for _ in seeds:
            on_run()
        return [made_up(seed, 10.0, 3.0, 12.0) for seed in seeds]

    monkeypatch.setattr("ml.shop.coverage_runs.many_runs", quick)
    out, target = io.StringIO(), tmp_path / "report.json"

    call_command(
        "coverage_shop", runs=3, placebo=2, seed=7, customers=60, json=target,
        stdout=out, stderr=io.StringIO(),
    )  # fmt: skip

    assert asked[False][1:] == (range(7, 10), prediction_interval, 1)
    assert (asked[False][0].customers, asked[False][0].elasticity_mean) == (60, 1.8)
    assert (asked[True][0].elasticity_mean, asked[True][1]) == (0.0, range(7, 9))
    assert "100.0% [43.9%, 100.0%]" in out.getvalue()
    assert "An offer of depth 0: exactly 0 in 5 of 5 shops" in out.getvalue()
    report = json.loads(target.read_text())
    assert report["figures"][0]["expected"]["count"] == 3
    assert len(report["placebo_runs"]) == 2


@pytest.mark.parametrize("wrong", [{"runs": 1}, {"workers": 0}, {"json": "nowhere/at/all.json"}])
def test_the_command_says_what_is_wrong(wrong):
    with pytest.raises(CommandError, match=r"expected at least|does not exist"):
        call_command("coverage_shop", *[f"--{name}={value}" for name, value in wrong.items()])
