"""The exported step computes what the model computes, for any number of customers."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml import onnx_export
from ml.cores import CORES
from ml.errors import ExportDiffers, PackageMissing
from ml.onnx_export import EVENTS, INPUTS, OUTPUTS, TOLERANCE, AdvanceStep, export, random_feed
from ml.twin import TwinModel
from tests.ml.histories import DAY, small_model

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
MODELS = {core: small_model(core=core) for core in CORES}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {core: export(model, {"model_name": core}).content for core, model in MODELS.items()}


def session(file: bytes):
    return runtime.InferenceSession(file, providers=["CPUExecutionProvider"])


def stepped(model: TwinModel, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    with torch.inference_mode():
        after = AdvanceStep(model)(*(torch.from_numpy(feed[name]) for name in INPUTS))
    return [part.numpy() for part in after]


@pytest.mark.parametrize("core", CORES)
@settings(deadline=None, max_examples=40)
@given(customers=st.integers(1, 9), seed=st.integers(0, 2**32), spread=st.sampled_from([0.1, 1, 3]))
def test_random_states_end_where_the_model_says(files, core, customers, seed, spread):
    model, draw = MODELS[core], np.random.default_rng(seed)
    feed = random_feed(model, customers, draw)
    feed["h"] = (spread * draw.normal(size=feed["h"].shape)).astype(np.float32)
    feed["c"] = (spread * draw.normal(size=feed["c"].shape)).astype(np.float32)
    if core == "transformer":
        feed["c"][:, model.config.hidden] = draw.integers(0, 2 * model.config.context, customers)

    found = session(files[core]).run(list(OUTPUTS), feed)

    for ours, theirs in zip(stepped(model, feed), found, strict=True):
        np.testing.assert_allclose(theirs, ours, atol=TOLERANCE, rtol=1e-6)


@pytest.mark.parametrize("core", CORES)
def test_the_last_and_the_first_moment_of_every_day_are_told_apart(files, core):
    model = MODELS[core]
    feed = random_feed(model, 1, np.random.default_rng(0))
    run = session(files[core]).run
    for day in range(15_000, 15_400):
        for moment in (day * DAY - 1, day * DAY):
            feed["occurred_at_ms"] = np.array([moment])
            found = run(list(OUTPUTS), feed)[0]
            np.testing.assert_allclose(found, stepped(model, feed)[0], atol=TOLERANCE, rtol=0)


def test_the_file_is_valid_and_says_where_it_comes_from(files):
    for core, file in files.items():
        found = onnx.load_model_from_string(file)
        onnx.checker.check_model(found)
        assert [one.name for one in found.graph.input] == list(INPUTS)
        facts = {one.key: one.value for one in found.metadata_props}
        assert facts["model_name"] == core
        assert json.loads(facts["dictionaries"])["items"] == list(MODELS[core].dictionaries.items)


def test_the_inputs_are_the_columns_of_an_encoded_event():
    from dataclasses import fields

    from ml.encoding import Columns

    assert tuple(EVENTS) == tuple(f.name for f in fields(Columns))


def test_a_file_that_computes_something_else_is_not_handed_out(monkeypatch):
    monkeypatch.setattr(onnx_export, "largest_difference", lambda file, model: 2e-5)
    with pytest.raises(ExportDiffers, match="nothing was written"):
        export(MODELS["lstm"], {})
    monkeypatch.setattr(onnx_export, "largest_difference", lambda file, model: float("nan"))
    with pytest.raises(ExportDiffers):
        export(MODELS["lstm"], {})


def test_the_difference_to_another_model_is_seen(files):
    assert onnx_export.largest_difference(files["lstm"], small_model(seed=1), steps=3) > 1e-3


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setattr(onnx_export, "PACKAGES", ("nothing_of_that_name",))
    with pytest.raises(PackageMissing, match=r"pip install 'dtoc\[onnx\]'"):
        export(MODELS["lstm"], {})
