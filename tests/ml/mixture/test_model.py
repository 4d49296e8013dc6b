"""A mixture learns from events before the cut-off, alike from alike, and beats its parts."""

import dataclasses

import numpy as np
import pytest

from ml.errors import BrokenArtefact
from ml.events import EventTable
from ml.mixture.components import NAMES
from ml.mixture.files import MARKET, TOLD_GATE, from_files, to_files
from ml.mixture.frame import Frame, MixtureConfig
from ml.mixture.gate import GateConfig
from ml.mixture.inputs import Told
from ml.mixture.memory import Memory
from ml.mixture.model import Mixture, Scored, fit, learn_from
from ml.mixture.network import NetworkStateMissing
from tests.ml.histories import DAY, OPENING_MS, habits, small_model

EVENTS, COUNTRIES = habits(customers=50, orders=8)
CUT_OFF = OPENING_MS + 40 * DAY
CONFIG = MixtureConfig(gate_days=20, gate=GateConfig(hidden=16, epochs=6, batch=64))
FITTED = fit(EVENTS, COUNTRIES, CONFIG, cut_off_ms=CUT_OFF)


def after(mixture: Mixture, events: EventTable) -> list[Memory]:
    memories = mixture.fold(mixture.fresh(COUNTRIES), events)
    return [Memory.from_bytes(memory) for memory in memories]


def scored(mixture: Mixture) -> Scored:
    return mixture.score(EVENTS, COUNTRIES, from_ms=CUT_OFF)


def test_it_finds_out_that_customers_walk_through_the_catalogue():
    result = scored(FITTED)
    assert len(result.row) > 100
    assert (result.told.rank == 1).mean() > 0.9
    assert np.nanmean(result.untold.nll) < 0.5 < np.log(20)


def test_equal_arguments_give_equal_mixtures():
    left, right = scored(FITTED), scored(fit(EVENTS, COUNTRIES, CONFIG, cut_off_ms=CUT_OFF))
    assert np.array_equal(left.untold.nll, right.untold.nll)
    assert np.array_equal(left.told.nll, right.told.nll)


def test_what_comes_after_the_cut_off_is_not_learned_from():
    after = EVENTS.occurred_at_ms >= CUT_OFF
    sku = np.where(after, np.roll(EVENTS.sku, 7), EVENTS.sku)
    other = fit(dataclasses.replace(EVENTS, sku=sku), COUNTRIES, CONFIG, cut_off_ms=CUT_OFF)
    for name, value in FITTED.gate.state_dict().items():
        assert value.equal(other.gate.state_dict()[name]), name
    assert other.frame == FITTED.frame


def test_distributions_sum_to_one_told_or_not_and_differ():
    market = FITTED.frame.market(FITTED.frame.lines(EVENTS))
    today = int(EVENTS.occurred_at_ms.max() // DAY) + 1
    told = Told(np.zeros(50, np.bool_), np.full(50, today * DAY))
    asked = (after(FITTED, EVENTS), market.before(today))
    untold, opening = FITTED.distribution(*asked), FITTED.distribution(*asked, told=told)
    for share in (untold, opening):
        assert share.shape == (50, 20)
        assert share.sum(axis=1) == pytest.approx(np.ones(50), abs=1e-5)
    assert np.abs(untold - opening).max() > 1e-4


def test_a_customer_without_a_line_has_a_distribution():
    market = FITTED.frame.market(FITTED.frame.lines(EVENTS)).before(OPENING_MS // DAY + 9)
    share = FITTED.distribution(FITTED.frame.memories(["Malta"]), market)
    assert share.sum() == pytest.approx(1, abs=1e-5)


def test_an_item_without_a_row_is_a_miss_and_has_no_likelihood():
    late = EVENTS.occurred_at_ms >= CUT_OFF
    sku = np.where(late & (EVENTS.sku == "item-3"), "brand new", EVENTS.sku)
    result = FITTED.score(dataclasses.replace(EVENTS, sku=sku), COUNTRIES, from_ms=CUT_OFF)
    new = sku[result.row] == "brand new"
    assert new.any()
    assert np.isnan(result.untold.nll[new]).all()
    assert (result.untold.rank[new] > 20).all()
    assert np.isfinite(result.untold.nll[~new]).all()


def test_the_gate_learns_from_its_window_and_from_no_item_on_the_first_day_of_its_sale():
    window = (EVENTS.occurred_at_ms >= CUT_OFF - 20 * DAY) & (EVENTS.occurred_at_ms < CUT_OFF)
    day = EVENTS.occurred_at_ms // DAY
    launched = day == np.unique(day[window])[3]
    sku = np.where(launched & (EVENTS.sku == "item-3"), "brand new", EVENTS.sku)
    assert (sku == "brand new").any()
    past = dataclasses.replace(EVENTS, sku=sku).rows(EVENTS.occurred_at_ms < CUT_OFF)
    frame = Frame.of(past, COUNTRIES, CONFIG)
    taught = learn_from(frame, past, COUNTRIES, CUT_OFF, None)[0].place
    first = np.r_[True, past.customer[1:] != past.customer[:-1]]
    recent = past.occurred_at_ms >= CUT_OFF - 20 * DAY
    expected = np.flatnonzero(recent & ~first & (past.sku != "brand new"))
    assert sorted(taught.tolist()) == expected.tolist()


def test_a_network_becomes_two_more_components_and_has_to_be_asked():
    model = small_model()
    mixture = fit(EVENTS, COUNTRIES, CONFIG, cut_off_ms=CUT_OFF, network=model)
    assert mixture.names == (*NAMES, "network_continuing", "network_opening")
    h = model.advance(model.initial_state(COUNTRIES), EVENTS).h
    day = int(EVENTS.occurred_at_ms.max() // DAY) + 1
    market = mixture.frame.market(mixture.frame.lines(EVENTS)).before(day)
    memories = after(mixture, EVENTS)
    share = mixture.distribution(memories, market, h=h)
    assert share.sum(axis=1) == pytest.approx(np.ones(50), abs=1e-5)
    assert np.abs(share - mixture.distribution(memories, market, h=h[::-1])).max() > 1e-4
    with pytest.raises(NetworkStateMissing, match="has a network, but states were none"):
        mixture.distribution(memories, market)


def test_customers_of_other_countries_are_told_apart():
    memories = FITTED.fold(FITTED.fresh(["France", "Malta"]), EVENTS.rows(np.zeros(0, np.int64)))
    rows = [Memory.from_bytes(memory).country for memory in memories]
    assert rows == FITTED.frame.country_rows(["France", "Malta"])


def test_a_mixture_comes_back_from_its_files_with_every_number():
    again = from_files(to_files(FITTED))
    assert again.frame == FITTED.frame
    left, right = scored(FITTED), scored(again)
    assert np.array_equal(left.untold.nll, right.untold.nll)
    assert np.array_equal(left.told.nll, right.told.nll)


def test_files_do_not_fit_without_the_network_that_was_there_nor_stand_without_a_gate():
    model = small_model()
    held = fit(EVENTS, COUNTRIES, CONFIG, cut_off_ms=CUT_OFF, network=model)
    assert from_files(to_files(held), model).names == held.names
    with pytest.raises(BrokenArtefact, match="other components"):
        from_files(to_files(held))
    for name in (TOLD_GATE, MARKET):
        files = to_files(FITTED)
        del files[name]
        with pytest.raises(BrokenArtefact, match=name):
            from_files(files)
