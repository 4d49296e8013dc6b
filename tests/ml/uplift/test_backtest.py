"""A wave is foreseen: known effects are found, no effect is not, and nothing leaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from campaigns.backtest.files import read_customers, read_journal, read_offers
from ml.uplift.backtest import Ask, Backtest, backtest, window_end
from ml.uplift.errors import (
    NoEarlierWave,
    OneArmEmpty,
    UnknownWave,
    WaveBeforeTraining,
    WindowEmpty,
)
from ml.uplift.forecast import Walk
from ml.uplift.journal import BOUGHT, RECEIVED, VIEWED, Customers, Journal, Offers, outcome_between
from ml.uplift.model import ResponseModel, learn
from ml.uplift.panel import NEVER, Panel, panel_before
from tests.ml.uplift.worlds import World, world

ASK = Ask(train_until=408, wave=408, refits=12, draws=100)
Read = tuple[Journal, Customers, Offers]


def read(made: World, folder: Path) -> Read:
    paths = made.written(folder)
    offers, customers = read_offers(paths["offers"]), read_customers(paths["profiles"])
    return read_journal(paths["events"], customers, offers), customers, offers


@pytest.fixture(scope="module")
def saturating(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Read, Backtest]:
    made = world(seed=3)
    told = read(made, tmp_path_factory.mktemp("saturating"))
    return made, told, backtest(*told, ASK)


@pytest.fixture(scope="module")
def learned(saturating) -> tuple[ResponseModel, Walk, Panel]:
    _, (journal, customers, offers), _ = saturating
    panel = panel_before(journal, 408, len(customers), offers)
    model = learn(panel, customers, offers, until=0, draws=0, seed=0)
    return model, Walk.of(model, panel.holdings, offers, steps=12, seed=0), panel


@pytest.fixture(scope="module")
def placebo(tmp_path_factory: pytest.TempPathFactory) -> Backtest:
    made = world(effect=0.0, seed=4)
    return backtest(*read(made, tmp_path_factory.mktemp("placebo")), ASK)


def test_a_known_effect_is_found_although_the_wave_overlaps(saturating):
    made, _, report = saturating
    spend = report.rows("spend")[0]
    assert spend.effect.low <= made.spend_effect <= spend.effect.high
    assert spend.effect.value == pytest.approx(made.spend_effect, rel=0.2)
    # The waves before had no overlap with so many: what they showed is not what comes.
    earlier = next(rule for rule in report.simple if rule.name == "mean of the earlier waves")
    assert earlier.spend.value > 1.3 * made.spend_effect
    assert spend.held
    assert report.rankings[0].qini.low > 0


def test_how_much_a_further_offer_adds_is_learned(saturating, tmp_path):
    _, _, report = saturating
    adding = backtest(*read(world(keeps=1.0, seed=3), tmp_path), replace(ASK, refits=4))
    assert report.together > 1_000
    assert report.overlap.value < 0.3
    assert adding.overlap.value > 0.7


def test_offers_without_effect_show_none(placebo):
    for outcome, little in (("spend", 0.2), ("bought", 0.02)):
        row = placebo.rows(outcome)[0]
        assert row.predicted.holds(0)
        assert row.effect.value < little
    assert all(found.qini.low <= 0 <= found.qini.high for found in placebo.rankings)


def test_the_same_seed_gives_the_same_numbers(saturating):
    _, told, report = saturating
    again = backtest(*told, ASK)
    assert again.compared == report.compared
    assert again.rankings == report.rankings


def test_what_happens_after_the_wave_moves_no_forecast(saturating):
    _, (journal, customers, offers), report = saturating
    early = journal.where(
        (journal.hour < 408) | ((journal.hour == 408) & (journal.kind == RECEIVED))
    )
    late = journal.where((journal.hour >= 408) & (journal.kind == BOUGHT))
    other = replace(late, amount=late.amount * 7, customer=late.customer[::-1])
    views = replace(late, kind=np.full(len(late), VIEWED), offer=np.zeros(len(late), np.int64))
    changed = backtest(together(early, other, views), customers, offers, ASK)
    assert changed.rows("spend")[0].measured != report.rows("spend")[0].measured
    for before, after in zip(report.compared, changed.compared, strict=True):
        assert (after.predicted, after.effect) == (before.predicted, before.effect)
    before, after = (r.calibrations["spend"].groups for r in (report, changed))
    assert [g.predicted for g in after] == [g.predicted for g in before]


def test_no_outcome_after_the_training_is_learned_from(saturating):
    """Between the end of the training and the wave, events are history and no experience."""
    _, (journal, customers, offers), _ = saturating
    panel = panel_before(journal, 408, len(customers), offers)
    learned = [
        learn(p, customers, offers, until=-12, draws=1, seed=0) for p in (panel, lively(panel))
    ]
    for one, other in zip(*((m.best, m.draws[0]) for m in learned), strict=True):
        assert torch.equal(one.purchases, other.purchases)
        assert torch.equal(one.views, other.views)
        assert torch.equal(one.amounts, other.amounts)
    assert not torch.equal(learned[0].standing.idle[0], learned[1].standing.idle[0])


def lively(panel):
    """The last 72 hours before the wave as if everybody had bought and nobody had viewed."""
    bought, spend = panel.bought.copy(), panel.spend.copy()
    bought[:, -12:], spend[:, -12:] = 1, 50
    viewed = np.where(panel.holdings.viewed >= -12, NEVER, panel.holdings.viewed)
    assert (viewed != panel.holdings.viewed).any()
    holdings = replace(panel.holdings, viewed=viewed)
    return replace(panel, bought=bought, spend=spend, holdings=holdings)


def test_an_offer_of_nothing_changes_nothing(learned):
    model, walk, panel = learned
    none = walk.expected(model.best, np.full(len(panel.bought), -1))
    offered = walk.expected(model.best, np.zeros(len(panel.bought), np.int64))
    assert np.array_equal(none.spend, walk.expected(model.best).spend)
    assert (offered.bought > none.bought)[nothing_open(panel)].all()
    some = walk.expected(model.best, np.where(np.arange(len(panel.bought)) % 2, 0, -1))
    assert np.array_equal(
        some.spend, np.where(np.arange(len(panel.bought)) % 2, offered.spend, none.spend)
    )


def test_what_offers_cause_is_told_apart_from_how_the_arms_differ(saturating, learned):
    _, (journal, customers, _), report = saturating
    model, walk, _ = learned
    offered = journal.offered_at(408, len(customers))
    gain = walk.expected(model.best, offered).spend - walk.expected(model.best).spend
    spend = report.rows("spend")[0]
    assert spend.effect.value == pytest.approx(gain[offered >= 0].mean())
    assert spend.predicted.value == pytest.approx(
        spend.effect.value + unlike_arms(walk.expected(model.best).spend, offered)
    )


def unlike_arms(spend, offered):
    """How the arms would differ if nobody were offered anything."""
    return spend[offered >= 0].mean() - spend[offered < 0].mean()


def test_not_only_the_difference_is_right_but_both_sides_of_it(saturating, learned):
    _, (journal, customers, _), _ = saturating
    model, walk, _ = learned
    offered = journal.offered_at(408, len(customers))
    expected = walk.expected(model.best, offered)
    measured = outcome_between(journal, len(customers), 408, 480)
    for arm in (offered >= 0, offered < 0):
        assert expected.bought[arm].mean() == pytest.approx(measured.bought[arm].mean(), abs=0.04)
        assert expected.spend[arm].mean() == pytest.approx(measured.spend[arm].mean(), rel=0.2)


def test_who_is_moved_already_is_moved_less_by_a_further_offer(learned):
    model, walk, panel = learned
    gain = walk.expected(model.best, np.zeros(len(panel.bought), np.int64)).bought
    gain = gain - walk.expected(model.best).bought
    held = panel.holdings
    works = ((held.viewed < 0) & (held.expires >= 12)).any(axis=1)
    assert gain[works].mean() < 0.5 * gain[nothing_open(panel)].mean()


def nothing_open(panel):
    """Who holds no offer when the wave comes."""
    return ~((panel.holdings.expires >= 0) & (panel.holdings.offer >= 0)).any(axis=1)


def test_steps_are_counted_from_the_wave_and_views_go_to_the_oldest_open_offer():
    rows = [
        (0, 0, RECEIVED, 0, 0),
        (0, 12, VIEWED, 0, 0),
        (0, 24, RECEIVED, 0, 0),
        (0, 30, BOUGHT, -1, 4),
        (0, 90, VIEWED, 0, 0),
        (0, 100, BOUGHT, -1, 5),
        (1, 0, RECEIVED, 0, 0),
        (1, 24, RECEIVED, 0, 0),
        (1, 30, VIEWED, 0, 0),
        (1, 99, VIEWED, 0, 0),  # the first one is over by then
    ]
    customer, hour, kind, offer, amount = (np.array(column) for column in zip(*rows, strict=True))
    journal = Journal.of(
        customer=customer, hour=hour, kind=kind, offer=offer, amount=amount.astype(np.float64)
    )
    panel = panel_before(journal, 100, 3, some_offers())
    assert panel.first == -17  # the first step begins before hour 0, the last ends with the wave
    assert panel.holdings.viewed.tolist() == [[-15, -2], [-12, -1], [NEVER, NEVER]]
    assert panel.holdings.expires.tolist()[0] == [-1, 3]
    assert np.flatnonzero(panel.bought[0]).tolist() == [5]  # the purchase at the wave is not known
    assert panel.bought[1:].sum() == 0


def some_offers() -> Offers:
    return Offers(
        ids=("a",), type=np.array([0]), reward=np.array([5.0]), difficulty=np.array([5.0]),
        hours=np.array([96.0]), channels=np.ones((1, 4)),
    )  # fmt: skip


def test_a_window_ends_with_its_length_the_next_wave_or_the_file(saturating):
    _, (journal, _, _), _ = saturating
    assert window_end(journal, ASK) == (480, "its length")
    assert window_end(journal, replace(ASK, window=96)) == (475, "the end of the file")
    assert window_end(journal, replace(ASK, wave=336, window=96)) == (408, "the next wave")


@pytest.mark.parametrize(
    ("ask", "problem", "words"),
    [
        (replace(ASK, wave=400, train_until=400), UnknownWave, "only at 0, 168, 336, 408"),
        (replace(ASK, wave=336), WaveBeforeTraining, "train until hour 336"),
        (replace(ASK, wave=0, train_until=0), NoEarlierWave, "train until a later hour"),
    ],
)
def test_a_wave_that_cannot_be_foreseen_says_why(saturating, ask, problem, words):
    _, told, _ = saturating
    with pytest.raises(problem, match=words):
        backtest(*told, ask)


def test_a_wave_without_controls_or_without_a_future_says_so(saturating):
    _, (journal, customers, offers), _ = saturating
    with pytest.raises(WindowEmpty, match="choose an earlier wave"):
        backtest(journal.before(409), customers, offers, ASK)
    everybody = Journal.of(
        customer=np.arange(len(customers)),
        hour=np.full(len(customers), 408),
        kind=np.full(len(customers), RECEIVED),
        offer=np.zeros(len(customers), np.int64),
        amount=np.zeros(len(customers)),
    )
    sold = journal.where((journal.hour != 408) | (journal.kind == BOUGHT))
    with pytest.raises(OneArmEmpty, match="control group"):
        backtest(together(sold, everybody), customers, offers, ASK)


def together(*journals: Journal) -> Journal:
    names = ("customer", "hour", "kind", "offer", "amount")
    return Journal.of(**{n: np.concatenate([getattr(j, n) for j in journals]) for n in names})
