"""A training that is killed goes on from its last epoch, and two of the same never run at once."""

import os
import re
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings as project_settings
from django.core.management import call_command
from django.core.management.base import CommandError

from dtoc_project.celery import app
from tests.builders import NOON
from tests.twins.test_training import a_shop
from twins import checkpoints, tasks
from twins.errors import InvalidTrainingOption, TrainingInProgress
from twins.models import ModelVersion
from twins.selectors import loaded_model
from twins.services import TrainingOptions, train_model

EPOCHS = 8
COMMAND = [
    sys.executable, "manage.py", "train_twin", "--epochs", str(EPOCHS), "--patience", "99",
    "--cut-off", NOON.isoformat(), "--hidden", "8", "--device", "cpu",
]  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, settings) -> Path:
    """Checkpoints of this test lie in a folder of its own."""
    settings.DTOC_HOME = tmp_path
    return tmp_path / "training"


def run(environment: dict[str, str], *options: str) -> str:
    done = subprocess.run(
        [*COMMAND, *options], env=environment, capture_output=True, text=True, timeout=200,
        check=True, cwd=project_settings.BASE_DIR,
    )  # fmt: skip
    return done.stdout


def killed_in(epoch: int, environment: dict[str, str], *options: str) -> None:
    """A training was killed for good just after it had told of this epoch."""
    with subprocess.Popen(
        [*COMMAND, *options], env=environment, stdout=subprocess.PIPE, text=True,
        cwd=project_settings.BASE_DIR,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(f"epoch {epoch:2}/"):
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert not ModelVersion.objects.exists()


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
def test_killed_twice_and_started_again_it_ends_in_the_model_of_one_that_was_not(environment):
    a_shop()
    killed_in(3, environment)
    killed_in(5, environment)

    resumed = run(environment)

    (version,) = ModelVersion.objects.all()
    assert re.search(r"going on after epoch [56] ", resumed)
    assert "epoch  3/" not in resumed
    assert f"epoch {EPOCHS:2}/{EPOCHS}" in resumed

    whole = run(environment)
    assert "going on" not in whole
    assert "epoch  1/" in whole
    again = ModelVersion.objects.get()  # equal files are one version
    assert (again.id, again.sha256) == (version.id, version.sha256)
    assert [e["epoch"] for e in again.report["epochs"]] == list(range(1, EPOCHS + 1))
    left = Path(project_settings.DTOC_HOME) / "training"
    assert [file for file in left.iterdir() if file.suffix != ".lock"] == []


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
def test_from_start_and_other_options_leave_an_interrupted_training_aside(environment):
    a_shop()
    killed_in(3, environment)

    assert "going on" not in run(environment, "--seed", "4")
    assert "epoch  1/" in run(environment, "--from-start")


@pytest.mark.django_db
def test_an_error_leaves_the_checkpoint_and_success_takes_it_away(home):
    a_shop()

    def fail(epoch):
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(TrainingOptions(epochs=3, cut_off=NOON), at=NOON, on_epoch=fail)
    assert [file.suffix for file in home.iterdir()] == [".pt"]

    resumed: list[int] = []
    options = TrainingOptions(epochs=3, cut_off=NOON)
    version = train_model(options, at=NOON, on_resume=resumed.append)
    assert resumed == [2]
    assert list(home.iterdir()) == []
    assert train_model(options, at=NOON).id == version.id


@pytest.mark.django_db
def test_the_same_training_twice_at_once_is_refused_with_what_to_do(home):
    a_shop()
    options = TrainingOptions(epochs=1, cut_off=NOON)

    def second(epoch):
        with pytest.raises(TrainingInProgress, match="wait for it, or end it"):
            train_model(options, at=NOON)
        train_model(TrainingOptions(epochs=1, cut_off=NOON, seed=1), at=NOON)

    train_model(options, at=NOON, on_epoch=second)
    assert ModelVersion.objects.count() == 2


def test_checkpoints_that_nobody_went_on_with_are_swept(home):
    home.mkdir()
    old, young = home / "old.pt", home / "young.pt"
    for file in (old, young):
        file.write_bytes(b"weights")
    long_ago = time.time() - checkpoints.KEPT_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    with checkpoints.held_checkpoint("key", from_start=False):
        assert not old.exists()
    assert young.exists()


@pytest.mark.django_db
def test_the_options_of_the_command_reach_the_configuration():
    a_shop()
    call_command(
        "train_twin", epochs=1, core="transformer", hidden=8, context=7, learning_rate=0.002,
        clip=0.5, l2=1e-4, decay=0.9, patience=2, lanes=3, window=9, last_events=5, dropout=0.2,
        closing_epochs=0, stdout=StringIO(), stderr=StringIO(),
    )  # fmt: skip
    config = ModelVersion.objects.get().config
    chosen = {
        "epochs": 1, "learning_rate": 0.002, "clip": 0.5, "l2": 1e-4, "decay": 0.9, "patience": 2,
        "lanes": 3, "window": 9, "last_events": 5, "closing_epochs": 0,
    }  # fmt: skip
    assert {name: config[name] for name in chosen} == chosen
    model = config["model"]
    assert (model["core"], model["hidden"], model["context"]) == ("transformer", 8, 7)
    assert model["dropout"] == 0.2
    assert loaded_model(ModelVersion.objects.get()).core.context == 7


@pytest.mark.django_db
def test_a_preset_is_kept_where_no_option_says_otherwise():
    a_shop()
    version = train_model(TrainingOptions(preset="thesis", epochs=1, cut_off=NOON), at=NOON)
    config = version.config
    assert (config["epochs"], config["lanes"], config["last_events"]) == (1, 1, 100)
    assert (config["learning_rate"], config["patience"]) == (1e-3, 10)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"core": "gru"}, "core is gru, expected one of lstm, transformer"),
        ({"preset": "slow"}, "preset is slow, expected one of quick, patient, thesis"),
        ({"epochs": 0}, "epochs is 0, expected at least 1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"core": "transformer", "hidden": 10}, "a multiple of 4"),
    ],
)
def test_an_option_that_cannot_be_is_refused_before_anything_is_read(options, told):
    with pytest.raises(InvalidTrainingOption, match=told):
        train_model(TrainingOptions(**options), at=NOON)
    with pytest.raises(CommandError, match=told):
        call_command("train_twin", **options)


@pytest.mark.django_db
def test_the_task_runs_on_the_training_queue_and_delivered_twice_it_makes_one_version():
    a_shop()
    asked = {"epochs": 1, "cut_off": NOON.isoformat(), "core": "transformer", "activate": True}

    first, again = tasks.train(**asked), tasks.train(**asked)

    assert first == again
    assert ModelVersion.objects.get().state == "active"
    assert app.amqp.router.route({}, "twins.train")["queue"].name == "training"
    assert tasks.train.acks_late
    assert tasks.train.reject_on_worker_lost
