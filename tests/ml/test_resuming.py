"""A stopped training goes on as if it had not been; presets and precision do what they say."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ml import artefacts
from ml.checkpoint import Checkpoint, Progress
from ml.cores import CORES
from ml.mixture.model import MixtureConfig
from ml.training import PRESETS, EpochReport, Trained, TrainingConfig, train
from ml.twin import TwinConfig
from tests.ml.histories import DAY, OPENING_MS, habits

SMALL = TrainingConfig(
    model=TwinConfig(item_dim=8, target_dim=4, country_dim=2, hidden=16),
    epochs=5, patience=99, learning_rate=0.02, lanes=8, window=20, bootstrap_draws=20, mixture=None,
)  # fmt: skip


class Stopped(Exception):
    pass


def trained(config: TrainingConfig, checkpoint: Checkpoint | None = None, stop: int = 0) -> Trained:
    """``stop``: the training ends like a killed one once it has told of that epoch."""
    events, countries = habits(customers=25)

    def told(epoch: EpochReport) -> None:
        seen.append(epoch.epoch)
        if epoch.epoch == stop:
            raise Stopped

    seen.clear()
    return train(
        events, countries, config, cut_off_ms=OPENING_MS + 55 * DAY,
        validation_from_ms=OPENING_MS + 40 * DAY, on_epoch=told, checkpoint=checkpoint,
    )  # fmt: skip


seen: list[int] = []


def digest(made: Trained) -> str:
    return artefacts.digest(artefacts.dump(made.model, made.report))


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_stopped_training_ends_in_the_same_files_as_one_that_was_not(tmp_path, core, stop):
    config = replace(SMALL, model=replace(SMALL.model, core=core))
    checkpoint = Checkpoint(tmp_path / "folder" / "training.pt")
    whole = trained(config)
    assert seen == [1, 2, 3, 4, 5]

    with pytest.raises(Stopped):
        trained(config, checkpoint, stop)
    torch.manual_seed(99)  # another process draws from other generators
    resumed = trained(config, checkpoint)

    assert seen == list(range(stop + 1, 6))
    assert digest(resumed) == digest(whole)


@pytest.mark.parametrize("written", [0, 2])
def test_one_that_was_stopped_in_the_network_of_the_gate_does_not_learn_the_first_again(
    tmp_path, monkeypatch, written
):
    config = replace(SMALL, mixture=MixtureConfig(gate_days=20), epochs=3)
    whole = trained(config)
    checkpoint, write = Checkpoint(tmp_path / "training.pt"), Checkpoint.write
    parts: list[str] = []

    def stopped(self, progress):
        parts.append(self.file.stem)
        if parts.count("training-gate") > written:
            raise Stopped
        write(self, progress)

    monkeypatch.setattr(Checkpoint, "write", stopped)
    with pytest.raises(Stopped):
        trained(config, checkpoint)
    assert seen == [1, 2, 3]
    assert len(list(tmp_path.iterdir())) == 1 + (written > 0)
    parts.clear()
    monkeypatch.setattr(
        Checkpoint, "write", lambda self, p: (parts.append(self.file.stem), write(self, p))
    )
    resumed = trained(config, checkpoint)

    assert seen == []
    assert parts == ["training-gate"] * (3 - written)
    assert digest(resumed) == digest(whole)
    checkpoint.forget()
    assert list(tmp_path.iterdir()) == []


def test_one_that_was_stopped_while_it_waited_for_a_better_epoch_waits_no_longer_than_the_other(
    tmp_path,
):
    config = replace(SMALL, epochs=40, learning_rate=0.3, patience=2)
    checkpoint = Checkpoint(tmp_path / "training.pt")
    whole = trained(config)
    last = seen[-1]
    assert last < 40

    with pytest.raises(Stopped):
        trained(config, checkpoint, stop=last)
    resumed = trained(config, checkpoint)

    assert seen == []
    assert digest(resumed) == digest(whole)


def test_a_damaged_or_foreign_checkpoint_is_none_and_the_training_begins_anew(tmp_path):
    file = tmp_path / "training.pt"
    assert Checkpoint(file).read() is None
    with pytest.raises(Stopped):
        trained(SMALL, Checkpoint(file), stop=2)
    whole = file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert isinstance(Checkpoint(file).read(), Progress)

    for damaged in (whole[: len(whole) // 2], b"", b"nothing of ours"):
        file.write_bytes(damaged)
        assert Checkpoint(file).read() is None
    torch.save({"format": 0}, file)
    assert Checkpoint(file).read() is None
    trained(SMALL, Checkpoint(file))
    assert seen[0] == 1


def test_a_kill_while_writing_leaves_the_checkpoint_before_it(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "training.pt")
    with pytest.raises(Stopped):
        trained(SMALL, checkpoint, stop=1)

    def half(content, file):
        file.write(b"half of it")
        raise Stopped

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(Stopped):
        trained(SMALL, checkpoint)
    progress = checkpoint.read()
    assert progress is not None
    assert [epoch["epoch"] for epoch in progress.history] == [1]
    assert len(list(tmp_path.iterdir())) == 2
    checkpoint.forget()
    assert list(tmp_path.iterdir()) == []


def test_forgetting_twice_is_forgetting_once(tmp_path):
    checkpoint = Checkpoint(tmp_path / "training.pt")
    with pytest.raises(Stopped):
        trained(SMALL, checkpoint, stop=1)
    checkpoint.forget()
    checkpoint.forget()
    assert list(tmp_path.iterdir()) == []


def test_a_report_holds_no_times_so_that_equal_trainings_have_equal_files():
    first, again = trained(SMALL), trained(SMALL)
    assert digest(first) == digest(again)
    assert "seconds" not in str(first.report)


@pytest.mark.parametrize("core", CORES)
def test_mixed_precision_learns_nearly_the_same_and_leaves_single_weights(core):
    config = replace(SMALL, model=replace(SMALL.model, core=core, dropout=0.0), epochs=3)
    single, mixed = trained(config), trained(replace(config, mixed=True))

    assert {t.dtype for t in mixed.model.state_dict().values()} == {torch.float32}
    losses = [made.report["epochs"][-1]["validation_loss"] for made in (single, mixed)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_last_events_leaves_out_what_came_before_them(monkeypatch):
    read: list[int] = []
    from ml import search

    reader = search.LaneReader

    class Spy(reader):
        def losses(self, batch):
            ends = (self.material.starts + self.material.lengths)[batch.history]
            read.append(int((ends - batch.starts).max()))
            return super().losses(batch)

    monkeypatch.setattr(search, "LaneReader", Spy)
    trained(replace(SMALL, epochs=1, last_events=6))
    assert max(read) == 6
    read.clear()
    trained(replace(SMALL, epochs=1))
    assert max(read) > 20


def test_the_presets_are_configurations_and_the_thesis_reads_one_customer_at_a_time():
    made = {name: replace(TrainingConfig(), **changes) for name, changes in PRESETS.items()}
    assert made["quick"] == TrainingConfig()
    thesis = made["thesis"]
    assert (thesis.learning_rate, thesis.patience, thesis.lanes) == (1e-3, 10, 1)
    assert (thesis.window, thesis.last_events) == (100, 100)
    for config in made.values():
        assert (config.clip, config.l2, config.decay) == (1.0, 1e-5, 0.95)


def test_weight_decay_acts_on_vectors_only():
    from ml.search import optimiser_of
    from tests.ml.histories import small_model

    model = small_model()
    tables, others = optimiser_of(model, TrainingConfig()).param_groups
    assert tables["weight_decay"] == 1e-5
    assert others["weight_decay"] == 0
    vectors = {id(t.weight) for t in (model.item, model.target, model.kind, model.country)}
    assert {id(p) for p in tables["params"]} == vectors
    assert len(vectors) + len(others["params"]) == len(list(model.parameters()))


def test_gradients_are_clipped_and_the_rate_falls_by_epoch(monkeypatch):
    norms: list[float] = []
    step = torch.optim.Adam.step
    rates: list[float] = []

    def spy(self, *arguments):
        grown = [p.grad for g in self.param_groups for p in g["params"] if p.grad is not None]
        norms.append(float(torch.cat([g.flatten() for g in grown]).norm()))
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    trained(replace(SMALL, epochs=2, clip=0.01, mixture=None))
    assert max(norms) == pytest.approx(0.01, rel=1e-3)
    assert np.unique(np.round(rates, 9)).tolist() == pytest.approx([0.01805, 0.019, 0.02])
