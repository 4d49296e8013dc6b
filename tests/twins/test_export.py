"""One advance step of a stored version as an ONNX file."""

from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from ml.encoding import encode
from ml.states import TwinStates
from tests.builders import DAY
from tests.twins.builders import advance_everything, customer, happen, orders, stored_model, twin
from twins.encoding import event_table, fold_order
from twins.folding import whole_histories
from twins.models import ModelVersion
from twins.selectors import loaded_model

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.django_db


def exported(version: ModelVersion, tmp_path):
    file = tmp_path / "step.onnx"
    out = StringIO()
    call_command("export_twin", version.name, onnx=file, stdout=out)
    assert "differs from the model by at most" in out.getvalue()
    return runtime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("core", ["lstm", "transformer"])
def test_a_twin_that_the_file_advances_is_the_twin_that_is_stored(tmp_path, core):
    version = stored_model(core=core)
    session = exported(version, tmp_path)
    assert session.get_modelmeta().custom_metadata_map["model_sha256"] == version.sha256

    from twins.services import activate_model

    activate_model(model_id=version.id, at=version.created_at)
    someone = customer()
    happen(someone, *orders(7), step=3 * DAY)
    advance_everything()

    model = loaded_model(version)
    start = model.initial_state(["GB"])
    events = event_table([fold_order(whole_histories([someone])[someone], clock_ms=0)])
    columns = encode(events, start, model.dictionaries)
    h, c = start.h, start.c
    for row in range(len(columns)):
        one = columns.rows(np.array([row]))
        feed = {name: getattr(one, name) for name in one.__slots__}
        feed = {name: np.asarray(column) for name, column in feed.items()}
        h, c = session.run(["next_h", "next_c"], {**feed, "h": h, "c": c})
    stored = twin(someone)
    kept = TwinStates.from_bytes([stored.h], [stored.c], [stored.memory])
    np.testing.assert_allclose(h, kept.h, atol=1e-5, rtol=0)
    np.testing.assert_allclose(c, kept.c, atol=1e-5, rtol=0)


def test_what_cannot_be_exported_is_said(model, tmp_path):
    with pytest.raises(CommandError, match="no model version nothing"):
        call_command("export_twin", "nothing", onnx=tmp_path / "step.onnx")
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("export_twin", onnx=tmp_path / "no" / "folder.onnx")
