"""Training learns what there is to learn, repeats itself, and never looks past the cut-off."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from ml import artefacts
from ml.cores import CORES
from ml.errors import BrokenArtefact, NothingToLearn, NoValidation
from ml.events import EventTable
from ml.training import EpochReport, Trained, TrainingConfig, train
from ml.twin import TwinConfig
from tests.ml.histories import DAY, OPENING_MS, Line, habits, table

VALIDATION = OPENING_MS + 40 * DAY
CUT_OFF = OPENING_MS + 55 * DAY
SMALL = TrainingConfig(
    model=TwinConfig(item_dim=8, target_dim=4, country_dim=2, hidden=16, dropout=0.0),
    epochs=12, learning_rate=0.02, lanes=8, window=20, bootstrap_draws=50,
)  # fmt: skip
SHORT = replace(SMALL, epochs=2)


def trained(events: EventTable, config: TrainingConfig = SHORT, **options) -> Trained:
    countries = habits()[1]
    window = {"cut_off_ms": CUT_OFF, "validation_from_ms": VALIDATION, **options}
    return train(events, countries, config, **window)


def weights(model: torch.nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}


@pytest.fixture(scope="module", params=CORES)
def learned(request: pytest.FixtureRequest) -> Trained:
    model = replace(SMALL.model, core=request.param)
    return trained(habits()[0], replace(SMALL, model=model))


def test_training_beats_popularity_by_far_where_habits_are_regular(learned: Trained):
    lines = learned.report["validation"]["next_item"]["all_lines"]
    assert lines["model"]["top_1"]["low"] > 0.5
    assert lines["model"]["nll"]["high"] < lines["popularity"]["nll"]["low"] - 1
    assert lines["popularity"]["top_1"]["value"] < 0.15


def test_training_learns_when_customers_come_and_what_a_line_costs(learned: Trained):
    report = learned.report["validation"]
    time, total = report["time_to_order"], report["line_total"]
    assert time["model"]["value"] > time["one_rate"]["value"] + 0.1
    assert total["model"]["high"] < total["own_mean"]["low"]
    assert 0.6 < total["model_80_percent_interval_held"]["value"] < 0.95


def test_every_figure_stands_beside_its_baselines_with_its_interval(learned: Trained):
    report = json.loads(json.dumps(learned.report, allow_nan=False))
    for stratum in ("all_lines", "first_of_order"):
        methods = report["validation"]["next_item"][stratum]
        assert set(methods) == {
            "model", "model_told", "network", "popularity", "own_and_popularity",
            "markov_and_popularity",
        }  # fmt: skip
        for metrics in methods.values():
            for figure in metrics.values():
                assert figure["low"] <= figure["value"] <= figure["high"]


def test_a_seed_gives_the_same_model_again_and_another_seed_another():
    events = habits()[0]
    first, again = trained(events), trained(events)
    other = trained(events, replace(SHORT, seed=1))
    assert weights(first.model) == weights(again.model)
    assert first.report["validation"] == again.report["validation"]
    assert weights(first.model) != weights(other.model)


def test_training_neither_reads_nor_moves_the_global_generator():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = trained(habits()[0])
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(4)
    assert weights(trained(habits()[0]).model) == weights(first.model)


def test_events_at_or_after_the_cut_off_change_nothing():
    events = habits()[0]
    late = events.occurred_at_ms >= CUT_OFF
    assert late.sum() > 50
    sku = np.where(late, "a surprise", events.sku).astype(object)
    price = np.where(late, 1e6, events.unit_price)
    changed = replace(events, sku=sku, unit_price=price)

    first = trained(events)

    assert weights(trained(changed).model) == weights(first.model)
    assert weights(trained(events.rows(~late)).model) == weights(first.model)


def test_the_search_does_not_see_the_validation_window():
    """Only the losses measured on the window may differ, never those learned from."""
    events = habits()[0]
    inside = events.occurred_at_ms >= VALIDATION
    sku = np.where(inside, "item-0", events.sku).astype(object)
    config = replace(SHORT, closing_epochs=0, patience=99)

    first, other = trained(events, config), trained(replace(events, sku=sku), config)

    def losses(result: Trained, name: str) -> list[float]:
        return [epoch[name] for epoch in result.report["epochs"]]

    assert losses(first, "train_loss") == losses(other, "train_loss")
    assert losses(first, "validation_loss") != losses(other, "validation_loss")


def test_items_first_sold_in_the_window_are_learned_in_the_closing_epochs_only():
    events = habits()[0]
    inside = (events.occurred_at_ms >= VALIDATION) & (events.sku == "item-7")
    sku = np.where(inside, "item-new", events.sku).astype(object)

    model = trained(replace(events, sku=sku)).model

    assert model.dictionaries.items[-1] == "item-new"
    assert model.item_price[20].item() == 8


def test_prices_are_medians_by_item_and_the_overall_median_where_unknown(learned: Trained):
    prices = learned.model.item_price
    row = learned.model.dictionaries.item_index()["item-4"]
    assert prices[row].item() == 5
    assert prices[-1].item() == prices[21].item()


def test_the_search_stops_after_its_patience_and_keeps_the_best_epoch():
    seen: list[EpochReport] = []
    config = replace(SHORT, epochs=30, learning_rate=0.3, patience=2)
    result = trained(habits()[0], config, on_epoch=seen.append)
    best = min(seen, key=lambda epoch: epoch.validation_loss)
    assert seen[-1].epoch == best.epoch + 2 < 30
    assert result.report["best_epoch"] == best.epoch
    assert [epoch["epoch"] for epoch in result.report["epochs"]] == [e.epoch for e in seen]
    assert seen[0].lines_per_second > 0
    assert seen[0].remaining_seconds > 0


def test_the_model_of_a_long_search_is_the_model_of_its_best_epoch():
    config = replace(SHORT, learning_rate=0.3, closing_epochs=0, decay=1.0)
    long = trained(habits()[0], replace(config, epochs=30, patience=2))
    best = long.report["best_epoch"]
    assert best < len(long.report["epochs"])
    assert weights(trained(habits()[0], replace(config, epochs=best)).model) == weights(long.model)


def test_training_without_history_or_without_a_window_is_refused():
    events = habits()[0]
    with pytest.raises(NothingToLearn, match="import more history"):
        trained(events, validation_from_ms=OPENING_MS)
    with pytest.raises(NoValidation):
        trained(events, cut_off_ms=VALIDATION)


def test_one_customer_is_enough_to_run():
    events = table([[Line(OPENING_MS + n * DAY, f"item-{n}", n + 1) for n in range(3)]])
    window = {"cut_off_ms": OPENING_MS + 9 * DAY, "validation_from_ms": OPENING_MS + 2 * DAY}

    model = train(events, [""], SHORT, **window).model

    assert 0 < model.forecast(model.initial_state(["Malta"]))[0].same_order < 1


def test_a_model_survives_its_files_to_the_bit(learned: Trained):
    files = artefacts.dump(learned.model, learned.report)

    loaded = artefacts.load(files)

    assert weights(loaded) == weights(learned.model)
    assert loaded.rhythm == learned.model.rhythm
    assert artefacts.digest(artefacts.dump(loaded, artefacts.report_of(files))) == artefacts.digest(
        dict(reversed(files.items()))
    )
    events, countries = habits(seed=9)
    ends = [m.advance(m.initial_state(countries), events) for m in (learned.model, loaded)]
    assert ends[0].h.tobytes() == ends[1].h.tobytes()
    assert loaded.forecast(ends[1]) == learned.model.forecast(ends[0])


def test_any_change_of_any_file_changes_the_digest(learned: Trained):
    files = artefacts.dump(learned.model, learned.report)
    for name, content in files.items():
        flipped = {**files, name: content[:-1] + bytes([content[-1] ^ 1])}
        assert artefacts.digest(flipped) != artefacts.digest(files)


def test_files_that_do_not_fit_together_are_refused(learned: Trained):
    files = artefacts.dump(learned.model, learned.report)
    with pytest.raises(BrokenArtefact, match=r"weights\.safetensors missing"):
        artefacts.load({k: v for k, v in files.items() if k != "weights.safetensors"})
    with pytest.raises(BrokenArtefact):
        artefacts.load({**files, "config.json": b'{"hidden": 3}'})
    with pytest.raises(BrokenArtefact):
        artefacts.load({**files, "weights.safetensors": b"nothing"})
