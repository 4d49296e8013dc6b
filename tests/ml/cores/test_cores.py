"""What a core promises besides the laws of the fold: steps, gradients, how far it looks back."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ml import artefacts
from ml.cores import CORES, Core, built_core
from ml.cores.transformer import HEADS, Built, Layer
from ml.errors import BrokenArtefact, UnknownCore
from ml.fold import pack
from ml.states import TwinStates
from tests.ml.histories import histories, lines, small_model, table

ENCODING, HIDDEN, CONTEXT = 6, 8, 5
lengths_of_some = st.lists(st.integers(1, 14), min_size=1, max_size=4)
every_core = pytest.mark.parametrize("name", CORES)


def a_core(name: str, context: int = CONTEXT) -> Core:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        core = built_core(name, encoding=ENCODING, hidden=HIDDEN, context=context)
        for weights in core.parameters():
            torch.nn.init.uniform_(weights, -0.6, 0.6)
    return core.eval()


def packed(lengths: list[int]) -> tuple[list[Tensor], Tensor, Tensor, np.ndarray]:
    """Some customers' events, longest first, and the same events packed, with their rows."""
    lengths = sorted(lengths, reverse=True)
    draw = torch.Generator().manual_seed(sum(lengths))
    whole = torch.randn((sum(lengths), ENCODING), generator=draw)
    starts = np.cumsum([0, *lengths[:-1]])
    packing = pack(starts, np.array(lengths))
    alone = [whole[s : s + n] for s, n in zip(starts, lengths, strict=True)]
    return alone, whole[torch.from_numpy(packing.rows)], packing.steps, packing.rows


def fresh(core: Core, customers: int) -> tuple[Tensor, Tensor]:
    profile = torch.linspace(-0.9, 0.9, customers * HIDDEN).reshape(customers, HIDDEN)
    return profile.flip(0), core.begin(profile)


@every_core
@settings(deadline=None, max_examples=40)
@given(lengths_of_some)
def test_a_run_gives_every_state_that_single_steps_give(name, lengths):
    core = a_core(name)
    alone, flat, steps, rows = packed(lengths)
    h, c = fresh(core, len(alone))
    states, last_h, last_c = core.run(flat, steps, h, c)

    expected, doubled = torch.empty_like(states), core.fold(flat, steps, h, c)
    in_table = torch.empty((len(flat), HIDDEN))
    row = 0
    for customer, events in enumerate(alone):
        at = h[[customer]], c[[customer]]
        in_double = at
        for event in events:
            at = core(event.unsqueeze(0), *at)
            in_double = core.step_in_double(event.unsqueeze(0), *in_double)
            in_table[row] = at[0][0]
            row += 1
        for found, stepped in zip((last_h, last_c), at, strict=True):
            torch.testing.assert_close(found[[customer]], stepped, atol=1e-5, rtol=0)
        for found, stepped in zip(doubled, in_double, strict=True):
            assert torch.equal(found[[customer]], stepped)
    expected = in_table[torch.from_numpy(rows)]
    torch.testing.assert_close(states, expected, atol=1e-5, rtol=0)


@every_core
def test_a_long_history_ends_in_the_same_bits_in_any_company_with_the_usual_sizes(name):
    core = a_core(name, context=100)
    draw = torch.Generator().manual_seed(2)
    mine = torch.randn((1_500, ENCODING), generator=draw)
    alone = core.fold(mine, torch.ones(1_500, dtype=torch.int64), *fresh(core, 1))

    company = [torch.randn((n, ENCODING), generator=draw) for n in (1_100, 300, 40, 7)]
    steps = torch.tensor([1 + sum(len(one) > t for one in company) for t in range(1_500)])
    flat = torch.cat([one[t : t + 1] for t in range(1_500) for one in (mine, *company)])
    h, c = fresh(core, 5)
    h[0], c[0] = (part[0] for part in fresh(core, 1))
    together = core.fold(flat, steps, h, c)
    for found, expected in zip(together, alone, strict=True):
        assert torch.equal(found[:1], expected)


@every_core
def test_no_state_depends_on_what_comes_after_it_and_each_on_its_own_event(name):
    core = a_core(name)
    events = torch.randn((7, ENCODING), requires_grad=True)
    states, _, _ = core.run(events, torch.ones(7, dtype=torch.int64), *fresh(core, 1))
    for step in range(7):
        (slope,) = torch.autograd.grad(states[step].sum(), events, retain_graph=True)
        reached = slope.abs().sum(dim=1) > 0
        assert not reached[step + 1 :].any()
        assert reached[step]


@every_core
def test_the_profile_and_the_carried_state_are_learned_through(name):
    core = a_core(name)
    h, c = (part.requires_grad_() for part in fresh(core, 1))
    states, _, _ = core.run(torch.randn((2, ENCODING)), torch.ones(2, dtype=torch.int64), h, c)
    (slope,) = torch.autograd.grad(states.sum(), c)
    assert (slope[0, :HIDDEN] != 0).any()


@every_core
@settings(deadline=None, max_examples=25)
@given(histories, lines())
def test_a_twin_read_from_its_bytes_goes_on_to_the_same_bits(name, made, later):
    model = small_model(core=name)
    whole = [[*one, *later] for one in made]
    states = model.advance(model.initial_state(["France"] * len(made)), table(made))
    rows = [(*states.row_bytes(i), states.memory(i)) for i in range(len(made))]
    back = TwinStates.from_bytes(*(list(column) for column in zip(*rows, strict=True)))
    shift = states.clock_ms.max() + 1
    moved = table([[*_after(later, int(shift))] for _ in whole])
    ends = [model.advance(start, moved) for start in (states, back)]
    assert ends[0].h.tobytes() == ends[1].h.tobytes()
    assert ends[0].c.tobytes() == ends[1].c.tobytes()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 17), st.integers(1, 6))
def test_the_transformer_equals_plain_attention_over_the_whole_history(length, context):
    core = a_core("transformer", context)
    assert isinstance(core, Built)
    (events,), flat, steps, _ = packed([length])
    h, c = fresh(core, 1)

    states, _, _ = core.run(flat, steps, h, c)

    x = core.stack.entered(events)
    for layer in core.stack.layers:
        x = _plain_layer(layer, x, c[0, :HIDDEN], context)
    torch.testing.assert_close(states, core.stack.last(x), atol=1e-5, rtol=0)


def test_what_lies_further_back_than_all_layers_see_is_forgotten_and_the_profile_is_not():
    core = a_core("transformer")
    draw = torch.Generator().manual_seed(1)
    recent = torch.randn((2 * (CONTEXT - 1) + 1, ENCODING), generator=draw)
    ends = []
    for old in (0, 3, 40):
        events = torch.cat([torch.randn((old, ENCODING), generator=draw), recent])
        ends.append(core.fold(events, torch.ones(len(events), dtype=torch.int64), *fresh(core, 1)))
    (h0, c0), (h1, _), (h2, _) = ends
    torch.testing.assert_close(h1, h0, atol=1e-6, rtol=0)
    torch.testing.assert_close(h2, h0, atol=1e-6, rtol=0)
    other, _ = core.fold(recent, torch.ones(len(recent), dtype=torch.int64), h0, -c0 * 0)
    assert (other - h0).abs().max() > 1e-3


def test_the_count_of_the_ring_stays_small_however_long_the_history():
    core = a_core("transformer")
    h, c = fresh(core, 1)
    counts = []
    for _ in range(7 * CONTEXT):
        h, c = core(torch.zeros((1, ENCODING)), h, c)
        counts.append(int(c[0, HIDDEN]))
    assert counts[: 2 * CONTEXT - 1] == list(range(1, 2 * CONTEXT))
    assert set(counts[2 * CONTEXT :]) == set(range(CONTEXT, 2 * CONTEXT))


def test_a_core_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(UnknownCore, match=r"no core gru, expected one of lstm, transformer"):
        built_core("gru", encoding=1, hidden=4, context=1)
    files = artefacts.dump(small_model(), {})
    config = files["config.json"].replace(b'"lstm"', b'"gru"')
    with pytest.raises(BrokenArtefact, match="no core gru"):
        artefacts.load({**files, "config.json": config})


def test_a_model_stored_before_there_were_cores_is_an_lstm():
    model = small_model()
    files = artefacts.dump(model, {})
    config = files["config.json"].replace(b'"core": "lstm", ', b"").replace(b'"context": 4, ', b"")
    assert b"core" not in config
    loaded = artefacts.load({**files, "config.json": config})
    assert (loaded.config.core, loaded.config.context) == ("lstm", 100)


def test_sizes_that_the_transformer_cannot_have_are_refused():
    with pytest.raises(ValueError, match="multiple of 4"):
        built_core("transformer", encoding=3, hidden=10, context=5)


def _after(made, shift):
    return [replace(line, at_ms=line.at_ms + shift) for line in made]


def _plain_layer(layer: Layer, x: Tensor, profile: Tensor, context: int) -> Tensor:
    """One layer, event by event, from its formula."""
    normed = layer.before(torch.cat([profile.unsqueeze(0), x]))
    keys, values = layer.key_value(normed).chunk(2, dim=-1)
    after = []
    for i, own in enumerate(x):
        seen = [0, *range(max(i - context + 1, 0) + 1, i + 2)]  # key 0 is the profile
        ages = torch.tensor([0 if k == 0 else i + 1 - k for k in seen], dtype=torch.float32)
        heads = []
        for head, query in enumerate(layer.query(layer.before(own)).chunk(HEADS)):
            slope = 2.0 ** (-8 * (head + 1) / HEADS)
            scores = keys[seen] @ query / len(query) ** 0.5 - slope * ages
            heads.append(torch.softmax(scores, dim=0) @ values[seen])
        mixed = own + layer.mixed(torch.cat(heads))
        wide = torch.nn.functional.silu(layer.widened(layer.after(mixed)))
        after.append(mixed + layer.narrowed(wide))
    return torch.stack(after)
