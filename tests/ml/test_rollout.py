"""Rollouts: the same luck in every arm, the same result in every chunking."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import ml.rollout as rollout_module
import ml.rollout_orders as orders_module
from ml.encoding import Dictionaries, encode
from ml.events import EventKind, EventTable
from ml.predict import rhythms
from ml.response import AssumedResponse
from ml.rhythm.drift import Drift
from ml.rhythm.law import Law
from ml.rhythm.model import Rhythm
from ml.rhythm.sizes import SizeLaw
from ml.rhythm.statistics import COLUMNS, Purchases
from ml.rollout import (
    Accounts,
    BadPlan,
    RolloutOutcome,
    RolloutPlan,
    Scenario,
    StartBeforeClock,
    rollout,
)
from ml.rollout_draws import draw_items
from ml.rollout_plan import BY_CUSTOMER, MEASURES
from ml.rollout_rows import Rows
from ml.rollout_tallies import Tallies
from ml.states import TwinStates
from ml.timing import DAY_MS
from ml.twin import TwinConfig, TwinModel
from tests.ml.rhythm.laws import a_law

START_MS = 15_000 * DAY_MS
RESPONSE = AssumedResponse(mean=1.5, spread=0.5)
SUMMED = (*MEASURES, "by_day")
EVERY = (*SUMMED, *BY_CUSTOMER, "item_lines")


def a_model(items: int = 150) -> TwinModel:
    """A model with a life of its own: random weights, orders of about four lines."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        skus = tuple(f"S{item:05d}" for item in range(items))
        model = TwinModel(TwinConfig(hidden=24, item_dim=8), Dictionaries(skus, ("GB", "DE")))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.15 * torch.randn_like(parameter))
            model.heads.same_order.weight.mul_(0.3)
            model.heads.same_order.bias.fill_(1.0)
    law = replace(a_law(), scale=20.0)
    model.rhythm = replace(Rhythm.plain(), law=law, drift=Drift(week=0.2, step=0.05))
    return model.eval()


def some_states(model: TwinModel, customers: int, *, elapsed_days: float = 12.0) -> TwinStates:
    """Twins that differ, with a last event at differing times before the start."""
    rng = np.random.default_rng(8)
    states = model.initial_state(["GB"] * customers)
    clock = START_MS - (elapsed_days * DAY_MS * rng.random(customers)).astype(np.int64)
    return states.replaced(
        h=np.tanh(rng.normal(size=states.h.shape)).astype(np.float32),
        c=rng.normal(size=states.c.shape).astype(np.float32),
        clock_ms=clock,
        orders=np.full(customers, 3),
        last_order_ms=clock,
        gaps_n=np.full(customers, 2),
        gaps_sum_ms=np.full(customers, 40 * DAY_MS),
        purchase_days=np.full(customers, 3),
        first_day=clock // DAY_MS - 40,
        last_day=clock // DAY_MS,
        gap_days=rng.integers(5, 35, customers),
        gap_before_days=rng.integers(5, 35, customers),
        spend_cents=rng.integers(1_000, 90_000, customers),
        last_day_cents=rng.integers(300, 30_000, customers),
    )


def a_plan(**changes) -> RolloutPlan:
    plan = {
        "scenarios": (Scenario(0.2), Scenario(0.0, 3), Scenario(0.3, 5)),
        "horizon_days": 30,
        "offer_days": 8,
        "replicates": 5,
        "seed": 12,
        "start_ms": START_MS,
    }
    return RolloutPlan(**{**plan, **changes})


def keys(customers: int) -> np.ndarray:
    return np.random.default_rng(2).integers(-(2**63), 2**63, customers, dtype=np.int64)


def run(model, states, plan, response=RESPONSE, *, row_keys=None, accounts=None) -> RolloutOutcome:
    row_keys = keys(len(states)) if row_keys is None else row_keys
    return rollout(model, states, row_keys, ["GB"] * len(states), plan, response, accounts)


def accounts_of(model, segment, *, cost_share=0.0, funded_share=0.0, segments=3) -> Accounts:
    return Accounts(
        cost_share=np.full(model.vocabulary, cost_share),
        funded_share=funded_share,
        segment=np.asarray(segment, np.int64),
        segments=segments,
    )


def assert_equal(one: RolloutOutcome, other: RolloutOutcome) -> None:
    for name in EVERY:
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


@pytest.fixture(autouse=True)
def _one_thread():
    """Small tensors gain nothing from more threads and lose much where the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model() -> TwinModel:
    return a_model()


def test_an_offer_of_nothing_equals_the_control_in_every_integer(model):
    outcome = run(model, some_states(model, 20), a_plan())

    assert outcome.orders[0].min() > 0
    for name in (*SUMMED, "customer_revenue_cents"):
        values = getattr(outcome, name)
        assert np.array_equal(values[2], values[0]), name
        if name != "discount_cents":
            assert not np.array_equal(values[1], values[0]), name
    assert outcome.discount_cents[0].sum() == 0
    assert outcome.discount_cents[1].sum() > 0


@pytest.mark.parametrize("tile", [8, 256])
def test_what_an_arm_shares_with_its_control_is_what_it_would_have_done_alone(
    model, monkeypatch, tile
):
    """Computed apart from the start, each arm does the same in every integer."""
    scenarios = tuple(Scenario(depth, delay) for depth in (0.1, 0.4) for delay in (0, 2, 9, 9, 29))
    plan, states = a_plan(scenarios=scenarios), some_states(model, 12)
    accounts = accounts_of(model, np.arange(12) % 3, cost_share=0.4)
    monkeypatch.setitem(rollout_module.TILE_ROWS, "cpu", tile)
    shared = run(model, states, plan, accounts=accounts)
    begin = np.full(len(scenarios) + 1, START_MS)
    monkeypatch.setattr(RolloutPlan, "leaves_ms", lambda _: begin)
    apart = run(model, states, plan, accounts=accounts)

    assert_equal(shared, apart)
    assert np.array_equal(shared.by_segment, apart.by_segment)
    assert np.array_equal(shared.margin_by_day, apart.margin_by_day)
    assert (shared.revenue_cents[1:] != shared.revenue_cents[0]).any(axis=1).all()


def test_an_order_at_the_very_opening_is_the_arms_own(model):
    """To the millisecond: whoever orders as the offer opens, or later, has met the offer."""
    opens = START_MS + 5 * DAY_MS
    plan = a_plan(scenarios=(Scenario(0.2, 5),))
    rows = Rows.idle(3, 4, 4, torch.device("cpu"))
    rows.order_ms = torch.tensor([opens - 1, opens - 1, opens])
    arms = rollout_module._arms(plan, RESPONSE, accounts_of(model, [0] * 3), model.device)
    due = torch.tensor([opens - 1, opens, opens + 9])
    place, arm = orders_module._leaving(rows, due, arms)
    assert (place.tolist(), arm.tolist()) == ([1], [1])

    tallies = Tallies.zero(plan, accounts_of(model, [0] * 3), 5, model.device)
    measures = {name: torch.ones(3, dtype=torch.int64) for name in MEASURES}
    active, item = torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.int64)
    tallies.add(rows, active, item, measures)
    assert tallies.outcome().lines.sum(axis=1).tolist() == [3, 2]


def test_what_equals_the_control_is_not_computed_but_comes_out_the_same(model, monkeypatch):
    """An offer of nothing goes through the same arithmetic to the same integers."""
    plan = a_plan(scenarios=(Scenario(0.0, 3), Scenario(0.2), Scenario(0.3, 30), Scenario(0.0)))
    states = some_states(model, 20)
    spared = run(model, states, plan)
    distinct, places = plan.distinct
    assert (distinct.scenarios, places.tolist()) == ((Scenario(0.2),), [0, 0, 1, 0, 0])

    monkeypatch.setattr(RolloutPlan, "distinct", property(lambda self: (self, np.arange(5))))

    assert_equal(run(model, states, plan), spared)


@pytest.mark.parametrize(("customers", "chunk"), [(60, 1), (60, 7), (1_100, 64), (1_100, 1_000)])
def test_any_chunking_adds_up_to_the_same_integers(model, customers, chunk):
    plan = a_plan(replicates=1)
    states, row_keys = some_states(model, customers), keys(customers)
    whole = run(model, states, plan, row_keys=row_keys)

    parts = []
    for start in range(0, customers if chunk > 1 else 5, chunk):
        rows = np.arange(start, min(start + chunk, customers))
        parts.append(run(model, states.take(rows), plan, row_keys=row_keys[rows]))

    if chunk == 1:
        alone = np.concatenate([part.customer_revenue_cents for part in parts], axis=1)
        assert np.array_equal(alone, whole.customer_revenue_cents[:, :5])
    else:
        assert_equal(RolloutOutcome.combined(parts), whole)


def test_the_order_of_the_customers_does_not_matter(model):
    states, row_keys = some_states(model, 25), keys(25)
    order = np.random.default_rng(0).permutation(25)

    straight = run(model, states, a_plan(), row_keys=row_keys)
    mixed = run(model, states.take(order), a_plan(), row_keys=row_keys[order])

    by_customer = straight.customer_revenue_cents[:, order]
    assert np.array_equal(by_customer, mixed.customer_revenue_cents)
    assert np.array_equal(straight.by_day, mixed.by_day)


def test_other_arms_and_more_replicates_leave_a_result_as_it_was(model):
    states = some_states(model, 20)
    many = run(model, states, a_plan())

    few = run(model, states, a_plan(scenarios=(Scenario(0.3, 5),), replicates=4))

    for name in SUMMED:
        assert np.array_equal(getattr(few, name), getattr(many, name)[[0, 3], :4]), name


def test_the_size_of_the_tile_does_not_change_a_result(model, monkeypatch):
    states = some_states(model, 20)
    usual = run(model, states, a_plan())

    monkeypatch.setattr(rollout_module, "TILE_ROWS", {"cpu": 64})
    monkeypatch.setattr(orders_module, "ARRIVALS", 512)
    monkeypatch.setattr(orders_module, "BLOCK", {"cpu": 24})

    assert_equal(run(model, states, a_plan()), usual)


def test_measures_agree_with_one_another(model):
    outcome = run(model, some_states(model, 20), a_plan())

    assert np.array_equal(outcome.by_day.sum(axis=2), outcome.revenue_cents)
    assert np.array_equal(outcome.margin_by_day.sum(axis=2), outcome.margin_cents)
    assert np.array_equal(
        outcome.customer_revenue_cents.sum(axis=1), outcome.revenue_cents.sum(axis=1)
    )
    assert (outcome.buyers <= outcome.orders).all()
    assert (outcome.orders <= outcome.lines).all()
    assert (outcome.lines <= outcome.units).all()
    assert (outcome.buyers <= 20).all()


def test_without_accounts_goods_cost_nothing_and_all_are_counted_together(model):
    outcome = run(model, some_states(model, 20), a_plan())

    assert np.array_equal(outcome.margin_cents, outcome.revenue_cents)
    assert len(outcome.by_segment) == 1


def test_the_margin_is_what_goods_leave_and_what_others_pay_of_the_discount(model):
    terms = accounts_of(model, np.zeros(20), cost_share=0.6, funded_share=0.25)

    outcome = run(model, some_states(model, 20), a_plan(), accounts=terms)

    regular = outcome.revenue_cents + outcome.discount_cents
    expected = outcome.revenue_cents - 0.6 * regular + 0.25 * outcome.discount_cents
    assert (np.abs(outcome.margin_cents - expected) <= outcome.lines).all()  # rounded by the line
    assert not np.array_equal(outcome.margin_cents[1], outcome.margin_cents[0])


def test_goods_of_each_item_cost_what_they_cost(model):
    states, plan, terms = some_states(model, 20), a_plan(scenarios=()), accounts_of(model, [0] * 20)
    free = run(model, states, plan, accounts=terms)

    def margin(dear: np.ndarray) -> int:
        counted = replace(terms, cost_share=np.where(dear, 1.0, 0.0))
        return int(run(model, states, plan, accounts=counted).margin_cents.sum())

    often = np.arange(model.vocabulary) == free.item_lines.argmax()
    assert 0 < margin(often) < free.margin_cents.sum()
    assert margin(free.item_lines == 0) == free.margin_cents.sum()
    assert margin(free.item_lines > 0) == 0


def test_segments_are_what_their_customers_do_alone(model):
    states, plan, row_keys = some_states(model, 20), a_plan(), keys(20)
    segment = np.arange(20) % 3
    terms = accounts_of(model, segment, cost_share=0.5)

    whole = run(model, states, plan, row_keys=row_keys, accounts=terms)

    for place in range(3):
        rows = np.flatnonzero(segment == place)
        alone = run(
            model, states.take(rows), plan, row_keys=row_keys[rows],
            accounts=replace(terms, segment=np.zeros(len(rows), np.int64)),
        )  # fmt: skip
        found = dict(zip(MEASURES, whole.by_segment[place], strict=True))
        for name in MEASURES:
            assert np.array_equal(found[name], getattr(alone, name)), name


@pytest.mark.parametrize("depth", [0.1, 0.3])
def test_a_response_to_price_never_costs_the_first_order(model, depth):
    """Under the same luck the first order comes no later; later ones depend on what was bought."""
    plan = a_plan(scenarios=(Scenario(depth),), replicates=15)

    outcome = run(model, some_states(model, 20), plan)

    assert (outcome.buyers[1] >= outcome.buyers[0]).all()
    assert outcome.orders[1].sum() > outcome.orders[0].sum()


def test_a_memoryless_twin_never_loses_an_order_to_an_offer():
    model = _first_lines_only(a_model())
    law = Law.plain()  # the same hazard whatever was bought: only the offer differs
    fast = replace(law, shape=1e6, scale=1e7, same_day=1e-9)
    model.rhythm = replace(model.rhythm, law=fast, drift=Drift.none())
    plan = a_plan(scenarios=(Scenario(0.3),), replicates=40, horizon_days=10)

    outcome = run(model, some_states(model, 30), plan)

    assert (outcome.orders[1] >= outcome.orders[0]).all()
    assert outcome.orders[1].sum() > outcome.orders[0].sum()


def test_without_elasticity_an_offer_costs_exactly_its_depth(model):
    plan = a_plan(scenarios=(Scenario(0.5),), offer_days=30)
    indifferent = AssumedResponse(mean=0.0, spread=0.0)
    states = some_states(model, 60)

    outcome = run(_first_lines_only(model), states, plan, indifferent)

    assert np.array_equal(outcome.buyers[0], outcome.buyers[1])
    before_discount = outcome.revenue_cents[1] + outcome.discount_cents[1]
    assert outcome.revenue_cents[1] == pytest.approx(0.5 * before_discount, rel=0.01)


def _first_lines_only(model: TwinModel) -> TwinModel:
    """The same model with orders of one line."""
    single = a_model()
    single.load_state_dict(model.state_dict())
    sizes = SizeLaw(lines=1.0, weight=1e12, lines_spread=0.0, value_spread=0.6)
    single.rhythm = replace(model.rhythm, sizes=sizes)
    return single


def test_an_offer_does_nothing_before_it_opens(model):
    plan = a_plan(scenarios=(Scenario(0.3, 20),))

    by_day = run(model, some_states(model, 20), plan).by_day

    assert np.array_equal(by_day[1, :, :20], by_day[0, :, :20])
    assert not np.array_equal(by_day[1, :, 20:], by_day[0, :, 20:])


def test_an_offer_beyond_the_horizon_does_nothing(model):
    outcome = run(model, some_states(model, 20), a_plan(scenarios=(Scenario(0.3, 30),)))

    assert np.array_equal(outcome.by_day[1], outcome.by_day[0])


@pytest.mark.parametrize("elapsed_days", [0.0, 0.5, 30.0])
def test_the_first_order_comes_as_often_as_the_closed_form_says(model, elapsed_days):
    states = some_states(model, 3)
    clock = np.full(3, START_MS - int(elapsed_days * DAY_MS))
    day = clock // DAY_MS
    states = states.replaced(clock_ms=clock, last_order_ms=clock, last_day=day, first_day=day - 40)
    plan = a_plan(scenarios=(), replicates=4_000, horizon_days=20)
    single = _first_lines_only(model)  # fewer lines to draw; the first order comes no differently
    single.rhythm = replace(single.rhythm, drift=Drift.none())
    times, _ = rhythms(model.rhythm, states)

    for row, time in enumerate(times):
        chance = time.probability_within(20, START_MS)
        assert 0.02 < chance < 0.98
        alone = run(single, states.take([row]), plan, row_keys=np.array([row]))
        deviation = math.sqrt(chance * (1 - chance) / 4_000)
        assert abs(alone.buyers.mean() - chance) < 4 * deviation


def test_the_whole_shop_shares_one_level_and_expects_the_same_on_average(model):
    states, plan = some_states(model, 60), a_plan(scenarios=(), replicates=300, horizon_days=20)
    single = _first_lines_only(model)
    orders = []
    for drift in (Drift.none(), Drift(week=0.4, step=0.0)):
        single.rhythm = replace(single.rhythm, drift=drift)
        orders.append(run(single, states, plan, row_keys=keys(60)).orders[0])
    assert orders[1].mean() == pytest.approx(orders[0].mean(), rel=0.05)
    assert orders[1].std() > 1.5 * orders[0].std()


def test_an_order_is_as_large_as_the_own_history_says():
    model = a_model()
    states = some_states(model, 2).replaced(
        orders=np.array([50, 50]), lines=np.array([100, 500]), purchase_days=np.array([40, 40]),
        spend_cents=np.array([40 * 2_000, 40 * 60_000]),
    )  # fmt: skip
    sizes = SizeLaw(lines=5.0, weight=1.0, lines_spread=0.3, value_spread=0.3)
    counts = replace(model.rhythm.counts, orders_per_day=1.25)
    model.rhythm = replace(model.rhythm, sizes=sizes, counts=counts)
    plan = a_plan(scenarios=(), replicates=400, horizon_days=20)
    for row, (lines, value) in enumerate([(2, 20 / 1.25), (10, 600 / 1.25)]):
        outcome = run(model, states.take([row]), plan, row_keys=np.array([row]))
        orders = outcome.orders[0].sum()
        assert outcome.lines[0].sum() / orders == pytest.approx(lines, rel=0.1)
        revenue = outcome.revenue_cents[0].sum() / orders / 100
        assert revenue == pytest.approx(value, rel=0.15)


def test_what_is_counted_by_customer_and_by_item_adds_up(model):
    outcome = run(model, some_states(model, 20), a_plan())
    assert np.array_equal(outcome.customer_orders.sum(axis=1), outcome.orders[0])
    assert outcome.item_lines.sum() == outcome.lines[0].sum()


def test_what_is_remembered_of_purchase_days_moves_as_a_fold_would_move_it(model):
    """The columns that a row ends with are those of the history that it drew."""
    rhythm = model.rhythm
    rows = Rows.idle(3, 4, 4, torch.device("cpu"))
    moments = [[0, 0.3, 9, 9.5, 30], [0, 1, 2, 3, 4], [0, 5, 5.9, 6, 7]]
    expected = Purchases.none(3)
    for step in range(5):
        at = torch.tensor([START_MS + int(own[step] * DAY_MS) for own in moments])
        rows.order_ms = at
        rows.open_orders(rhythm)
        rows.spend(torch.tensor([1_000, 250, 40]))
        table = EventTable(
            customer=np.arange(3), kind=np.full(3, int(EventKind.PURCHASED), np.int8),
            sku=np.full(3, "S00001", object), order=np.full(3, step + 1),
            occurred_at_ms=at.numpy(), quantity=np.ones(3),
            unit_price=np.array([10.0, 2.5, 0.4]), country=np.full(3, "GB", object),
            offer_depth=np.zeros(3),
        )  # fmt: skip
        expected = expected.folded(table)
    for name in COLUMNS:
        if not name.startswith("recent"):
            assert getattr(rows, name).tolist() == getattr(expected, name).tolist(), name


@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
def test_what_is_fed_back_is_what_the_twin_would_have_seen(model, monkeypatch, known):
    """The drawn lines, read as an ordinary history, encode to the very same columns."""
    seen: list[dict[str, torch.Tensor]] = []
    step = model.encode_step

    def spy(**columns):
        seen.append({name: column[0].clone() for name, column in columns.items()})
        return step(**columns)

    monkeypatch.setattr(model, "encode_step", spy)
    plan = a_plan(scenarios=(), replicates=1, horizon_days=200)
    states = some_states(model, 1) if known else model.initial_state(["GB"])
    for key in range(50):  # luck under which there is something to see
        seen.clear()
        outcome = run(model, states, plan, row_keys=np.array([key]))
        lines = int(outcome.lines.sum())
        if lines > 8 and outcome.orders.sum() > 2:
            break
    fed = {name: np.array([float(row[name]) for row in seen[:lines]]) for name in seen[0]}
    assert lines > 8
    assert round(100 * fed["total"].sum()) == outcome.revenue_cents.sum()
    assert fed["quantity"].sum() == outcome.units.sum()
    assert outcome.orders.sum() > 2

    table = EventTable(
        customer=np.zeros(lines, np.int64),
        kind=np.full(lines, int(EventKind.PURCHASED), np.int8),
        sku=np.array([model.dictionaries.items[int(item)] for item in fed["item"]], object),
        order=1 + np.cumsum(1 - fed["same_order"]).astype(np.int64),
        occurred_at_ms=fed["occurred_at_ms"].astype(np.int64),
        quantity=fed["quantity"],
        unit_price=fed["total"] / fed["quantity"],
        country=np.full(lines, "GB", object),
        offer_depth=np.zeros(lines),
    )
    expected = encode(table, states, model.dictionaries)
    for name, column in fed.items():
        assert column == pytest.approx(getattr(expected, name).astype(float), rel=1e-9), name


def test_a_customer_without_events_begins_at_the_start(model):
    states = model.initial_state(["GB"] * 30)

    outcome = run(model, states, a_plan())

    assert outcome.orders[0].sum() > 0


def test_no_customers_buy_nothing(model):
    outcome = run(model, model.initial_state([]), a_plan())

    assert outcome.orders.shape == (4, 5)
    assert outcome.revenue_cents.sum() == 0


def test_no_global_generator_is_touched_and_the_mode_comes_back(model):
    before = torch.get_rng_state().clone()
    model.train()

    run(model, some_states(model, 3), a_plan())

    assert model.training
    assert torch.equal(before, torch.get_rng_state())
    model.eval()


def test_a_twin_cannot_be_rolled_out_from_before_its_last_event(model):
    states = some_states(model, 3)
    states = states.replaced(clock_ms=np.array([1, START_MS + 1, 1]))

    with pytest.raises(StartBeforeClock, match="customer row 1"):
        run(model, states, a_plan())


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicates": 0},
        {"horizon_days": 0},
        {"offer_days": -1},
        {"seed": -1},
        {"scenarios": (Scenario(0.95),)},
        {"scenarios": (Scenario(0.1, -1),)},
    ],
)
def test_a_plan_out_of_range_is_refused(wrong):
    with pytest.raises(BadPlan):
        a_plan(**wrong)


# the draws -----------------------------------------------------------------------------------


def even(size: int) -> torch.Tensor:
    """Evenly spaced probabilities: a sample without sampling error."""
    return (torch.arange(size, dtype=torch.float64) + 0.5) / size


@pytest.mark.parametrize("items", [5, 64, 65, 200])
def test_items_are_drawn_in_proportion_to_the_softmax(items):
    generator = torch.Generator().manual_seed(items)
    logits = 2 * torch.randn(1, items, generator=generator)
    size = 50_000

    drawn = draw_items(logits.expand(size, -1), even(size))

    shares = torch.bincount(drawn, minlength=items).double() / size
    assert torch.allclose(shares, torch.softmax(logits[0].double(), 0), atol=3 / size)


def test_the_ends_of_the_interval_draw_an_item_that_exists():
    logits = torch.randn(2, 130, generator=torch.Generator().manual_seed(1))

    drawn = draw_items(logits, torch.tensor([2.0**-53, 1 - 2.0**-53], dtype=torch.float64))

    assert drawn.tolist() == [0, 129]
