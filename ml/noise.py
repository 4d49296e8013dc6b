"""Random numbers that are a function of what they are for, not of when they are drawn.

Every number is addressed by (seed, row, replicate, step, purpose). Two runs that ask for the same
address get the same number on any device, in any order and in any chunking; that is what makes
common random numbers between the arms of a simulation possible. No global generator is touched.

Source: Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"
(Philox4x32, 10 rounds), checked against the known answers published with Random123.
"""

import torch
from torch import Tensor

Words = tuple[Tensor, Tensor, Tensor, Tensor]

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
WORD = 0xFFFFFFFF

SEED_LIMIT = 1 << 64
REPLICATE_LIMIT = 1 << 24
STEP_LIMIT = 1 << 32
PURPOSE_LIMIT = 1 << 8


def philox4x32(counter: Words, key: tuple[int, int]) -> Words:
    """Return the four 32-bit output words of Philox4x32-10 for each counter.

    Words are held in int64 tensors, 0 to 2**32 - 1; the counter words broadcast. A product of two
    words wraps around in int64, which keeps its 64 bits; only its sign reads wrongly, so the
    upper half is masked after the (arithmetic) shift.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        low, high = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0 = ((high >> 32) & WORD) ^ c1 ^ k0
        c2 = ((low >> 32) & WORD) ^ c3 ^ k1
        c1, c3 = high & WORD, low & WORD
        k0, k1 = (k0 + KEY_STEPS[0]) & WORD, (k1 + KEY_STEPS[1]) & WORD
    return c0, c1, c2, c3


def uniforms(
    seed: int,
    rows: Tensor,
    replicate: Tensor | int,
    step: Tensor | int,
    purpose: Tensor | int,
) -> Tensor:
    """Return one float64 in the open interval (0, 1) for each address.

    ``rows`` are 64-bit keys (int64, any sign); the other parts broadcast against them.
    Limits: seed below 2**64, replicate below 2**24, step below 2**32, purpose below 2**8.
    Tensors are not checked against the limits, because that would wait for the device.

    Raises:
        ValueError: a plain number lies outside its limit.
    """
    _check("seed", seed, SEED_LIMIT)
    steps = _as_tensor("step", step, STEP_LIMIT, rows)
    replicates = _as_tensor("replicate", replicate, REPLICATE_LIMIT, rows)
    purposes = _as_tensor("purpose", purpose, PURPOSE_LIMIT, rows)
    counter = (rows & WORD, (rows >> 32) & WORD, steps, (replicates << 8) | purposes)
    w0, w1, _, _ = philox4x32(counter, (seed & WORD, seed >> 32))
    return open_interval(w0, w1)


def open_interval(w0: Tensor, w1: Tensor) -> Tensor:
    """Return one float64 in (0, 1) for each pair of 32-bit words; neither end is ever reached."""
    # 52 bits and a half: the largest value is 1 - 2**-53, which float64 still tells from 1.
    bits = ((w0 >> 6) << 26) | (w1 >> 6)
    return (bits.to(torch.float64) + 0.5) * 2.0**-52


def _as_tensor(name: str, value: Tensor | int, limit: int, like: Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return value
    _check(name, value, limit)
    return torch.tensor(value, dtype=torch.int64, device=like.device)


def _check(name: str, value: int, limit: int) -> None:
    if not 0 <= value < limit:
        raise ValueError(f"{name} is {value}, expected 0 <= {name} < {limit}")
