"""The counter-based generator: right, addressable, and nobody else's business."""

import numpy as np
import pytest
import torch

from ml.noise import open_interval, philox4x32, uniforms

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (
            (ONES, ONES, ONES, ONES),
            (ONES, ONES),
            (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers(counter, key, expected):
    words = tuple(torch.tensor([word], dtype=torch.int64) for word in counter)

    answer = philox4x32(words, key)

    assert tuple(int(word) for word in answer) == expected


def test_uniforms_lie_in_the_open_interval_and_are_even():
    draws = uniforms(3, torch.arange(200_000), 0, 0, 0).numpy()

    assert draws.min() > 0
    assert draws.max() < 1
    counts = np.histogram(draws, bins=50, range=(0, 1))[0]
    chi_square = ((counts - 4_000) ** 2 / 4_000).sum()
    assert chi_square < 94  # 0.9999 quantile with 49 degrees of freedom


def test_the_extreme_words_still_give_a_number_inside_the_interval():
    words = torch.tensor([0, ONES])

    lowest, highest = open_interval(words, words).tolist()

    assert 0 < lowest < 1e-15
    assert 1 - 1e-15 < highest < 1


def test_the_extreme_addresses_are_addresses():
    rows = torch.tensor([-(2**63), -1, 0, 2**63 - 1])

    draws = uniforms(2**64 - 1, rows, 2**24 - 1, 2**32 - 1, 2**8 - 1)

    assert len(set(draws.tolist())) == 4


def test_every_part_of_the_address_changes_the_number():
    row = torch.tensor([5])
    base = (1, row, 1, 1, 1)
    others = [
        (2, row, 1, 1, 1),
        (1 + 2**32, row, 1, 1, 1),
        (1, row + 1, 1, 1, 1),
        (1, row + 2**32, 1, 1, 1),
        (1, row, 2, 1, 1),
        (1, row, 1, 2, 1),
        (1, row, 1, 1, 2),
    ]

    values = {float(uniforms(*address)) for address in [base, *others]}

    assert len(values) == 8


def test_a_number_does_not_depend_on_its_neighbours():
    rows = torch.arange(100)
    together = uniforms(9, rows, 4, 7, 2)

    alone = torch.cat([uniforms(9, rows[i : i + 1], 4, 7, 2) for i in range(100)])

    assert torch.equal(together, alone)


def test_parts_of_the_address_broadcast():
    grid = uniforms(9, torch.arange(3)[:, None], 0, torch.arange(4)[None, :], 1)

    assert grid.shape == (3, 4)
    assert grid[2, 3] == uniforms(9, torch.tensor(2), 0, 3, 1)


def test_draws_of_neighbouring_addresses_do_not_correlate():
    rows = torch.arange(50_000)
    first, second = uniforms(1, rows, 0, 0, 0), uniforms(1, rows, 0, 1, 0)

    correlation = np.corrcoef(first.numpy(), second.numpy())[0, 1]

    assert abs(correlation) < 0.02


def test_no_global_generator_is_touched():
    before = torch.get_rng_state().clone()

    uniforms(1, torch.arange(10), 0, 0, 0)

    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("address", [(-1, 0, 0, 0), (0, 2**24, 0, 0), (0, 0, 2**32, 0)])
def test_a_number_outside_its_limit_is_refused(address):
    seed, replicate, step, purpose = address

    with pytest.raises(ValueError, match="expected 0 <="):
        uniforms(seed, torch.arange(1), replicate, step, purpose)
