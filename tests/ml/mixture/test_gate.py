"""The gate weighs components, is learned alike from alike, and finds out whom to trust."""

import dataclasses

import numpy as np
import pytest
import torch

from ml.mixture.gate import GateConfig, GateTargets, fit_gate, losses
from ml.mixture.inputs import Singles

CONFIG = GateConfig(hidden=16, epochs=12, batch=64)


def planted(lines: int = 1_200, seed: int = 0) -> tuple[Singles, GateTargets]:
    """Return lines whose first input says which of two components is right."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 2, lines).astype(bool)
    p = np.where(first[:, None], [[0.6, 0.01]], [[0.01, 0.6]])
    inputs = np.stack([first, rng.normal(size=lines)], axis=1).astype(np.float32)
    damped = rng.random(lines) < 0.02
    targets = GateTargets(p, np.full((lines, 2), 0.3), damped, rng.integers(0, 50, lines))
    return inputs, targets


def test_weights_sum_to_one_and_damping_lies_between_nothing_and_all():
    inputs, targets = planted()
    weights, damping = fit_gate(inputs, targets, CONFIG)[0].weigh(inputs)
    assert weights.sum(axis=1) == pytest.approx(np.ones(len(inputs)))
    assert (weights >= 0).all()
    assert ((damping > 0) & (damping < 1)).all()


def test_it_trusts_the_component_that_is_right_and_damps_what_comes_rarely_again():
    inputs, targets = planted()
    weights, damping = fit_gate(inputs, targets, CONFIG)[0].weigh(inputs)
    first = inputs[:, 0] == 1
    assert weights[first, 0].mean() > 0.9
    assert weights[~first, 1].mean() > 0.9
    assert damping.mean() < 0.2


def test_equal_seeds_give_equal_gates_and_the_caller_s_generator_is_left_alone():
    inputs, targets = planted()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    left = fit_gate(inputs, targets, CONFIG)[0]
    assert torch.rand(1) == expected
    right = fit_gate(inputs, targets, CONFIG)[0]
    other = fit_gate(inputs, targets, dataclasses.replace(CONFIG, seed=1))[0]
    for name, value in left.state_dict().items():
        assert torch.equal(value, right.state_dict()[name]), name
    assert not torch.equal(left.layers[0].weight, other.layers[0].weight)


def test_the_loss_is_that_of_the_mixture_over_the_whole_vocabulary():
    rng = np.random.default_rng(2)
    parts = rng.dirichlet(np.ones(6), size=3)  # three components over six items
    weights, damping, basket, item = np.array([0.2, 0.5, 0.3]), 0.25, [1, 4], 4
    share = weights @ parts
    share[basket] *= damping
    expected = -np.log(share[item] / share.sum())
    given = (
        torch.from_numpy(np.log(weights))[None],
        torch.tensor([damping], dtype=torch.float64),
        torch.from_numpy(parts[:, item])[None],
        torch.from_numpy(parts[:, basket].sum(axis=1))[None],
        torch.tensor([True]),
    )
    assert float(losses(*given)) == pytest.approx(expected)


def test_one_customer_is_enough_to_learn_from():
    inputs, targets = planted(40)
    alone = dataclasses.replace(targets, customer=np.zeros(40, np.int64))
    assert np.isfinite(fit_gate(inputs, alone, CONFIG)[1])
