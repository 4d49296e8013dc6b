"""One advance step as an ONNX file, checked against the model itself.

Needs the packages of the extra ``onnx``; nothing else imports this module.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml.errors import ExportDiffers, PackageMissing
from ml.events import EventKind

if TYPE_CHECKING:
    from ml.twin import TwinModel

OPSET = 20
TOLERANCE = 1e-5
EVENTS = {
    "item": np.int64, "kind": np.int64, "country": np.int64, "gap_days": np.float64,
    "total": np.float64, "quantity": np.float64, "same_order": np.bool_,
    "occurred_at_ms": np.int64, "offer_depth": np.float64, "orders": np.int64,
    "mean_gap_days": np.float64,
}  # fmt: skip
INPUTS = (*EVENTS, "h", "c")
OUTPUTS = ("next_h", "next_c")
PACKAGES = ("onnx", "onnxscript", "onnxruntime")

Feed = dict[str, NDArray[Any]]


class AdvanceStep(nn.Module):
    """From the columns of one event per customer and the states to the states after it.

    Computes in double precision and rounds the states, as the fold does, so that a twin that is
    advanced by the file stays the twin that is stored.
    """

    def __init__(self, model: TwinModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, *columns: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``h`` (B, H) and ``c`` (B, S); the arguments are in the order of ``INPUTS``."""
        *event, h, c = columns
        x = self.model.encode_step(**dict(zip(EVENTS, event, strict=True)))
        return self.model.core.step_in_double(x, h, c)


@dataclass(frozen=True, slots=True)
class Exported:
    """A file, and by how much it differs from the model at most."""

    content: bytes
    difference: float


def export(model: TwinModel, facts: Mapping[str, str]) -> Exported:
    """Return the step as an ONNX file that takes any number of customers at a time.

    ``facts`` and the dictionaries, which say what row an item or a country has, lie in the file's
    metadata.

    Raises:
        PackageMissing: the extra is not installed.
        ExportDiffers: onnxruntime does not compute what the model computes.
    """
    for name in PACKAGES:
        _required(name)
    model = model.cpu().eval()
    draw = np.random.default_rng(0)
    example = tuple(torch.from_numpy(column) for column in random_feed(model, 2, draw).values())
    batch = torch.export.Dim("customers", min=1)
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            AdvanceStep(model).eval(), example, dynamo=True, opset_version=OPSET, verbose=False,
            input_names=INPUTS, output_names=OUTPUTS,
            dynamic_shapes=(tuple({0: batch} for _ in INPUTS),),
        )  # fmt: skip
    if program is None:  # only where a file is named
        raise AssertionError
    program.model.metadata_props.update(
        {**facts, "dictionaries": json.dumps(asdict(model.dictionaries), ensure_ascii=False)}
    )
    content = program.model_proto.SerializeToString()
    difference = largest_difference(content, model)
    if not difference <= TOLERANCE:
        raise ExportDiffers(difference=difference, tolerance=TOLERANCE)
    return Exported(content, difference)


def largest_difference(file: bytes, model: TwinModel, *, steps: int = 130, seed: int = 1) -> float:
    """Return by how much onnxruntime and the model differ at most, over batches of random events.

    Each starts from random profiles and goes on from its own states, so that differences add up;
    ``steps`` are more than a core that looks back usually sees.
    """
    runtime = _required("onnxruntime")
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    draw, step = np.random.default_rng(seed), AdvanceStep(model)
    largest = 0.0
    for customers in (1, 7):
        feed = random_feed(model, customers, draw)
        ours = theirs = (feed["h"], feed["c"])
        for _ in range(steps):
            feed = random_feed(model, customers, draw)
            feed["h"], feed["c"] = theirs
            theirs = tuple(session.run(list(OUTPUTS), feed))
            event = [torch.from_numpy(feed[name]) for name in EVENTS]
            with torch.inference_mode():
                after = step(*event, *(torch.from_numpy(part) for part in ours))
            ours = tuple(part.numpy() for part in after)
            apart = [np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True)]
            largest = max(largest, float(np.max(apart)))  # a NaN stays one
    return largest


def random_feed(model: TwinModel, customers: int, draw: np.random.Generator) -> Feed:
    """Return events and fresh states of so many customers, by name of the input."""
    dictionaries = model.dictionaries
    country = draw.integers(0, len(dictionaries.countries) + 1, customers)
    kind = draw.integers(1, len(EventKind) + 1, customers)
    columns = {
        "item": draw.integers(0, dictionaries.item_rows, customers),
        "kind": kind,
        "country": country,
        "gap_days": draw.exponential(20, customers),
        "total": draw.normal(0, 300, customers),
        "quantity": draw.integers(1, 5_000, customers),
        "same_order": draw.random(customers) < 0.5,
        "occurred_at_ms": draw.integers(0, 2**42, customers),
        "offer_depth": draw.random(customers),
        "orders": draw.integers(0, 3_000, customers),
        "mean_gap_days": draw.exponential(40, customers),
    }
    with torch.inference_mode():
        h, c = model.start(torch.from_numpy(country))
    feed: Feed = {name: columns[name].astype(kind) for name, kind in EVENTS.items()}
    return {**feed, "h": h.numpy(), "c": c.numpy()}


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own internals and of packages that we do not need."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _required(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise PackageMissing(package=name, extra="onnx") from error
