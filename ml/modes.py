"""A module as it is when it predicts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def predicting(module: nn.Module) -> Iterator[None]:
    """Without dropout and gradients inside; afterwards as before.

    Changing the mode walks through all parts of a module, which takes longer than a single step: a
    module that predicts already is left alone.
    """
    training = module.training
    if training:
        module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        if training:
            module.train()
