"""The synthetic shop: reproducible, in order, and true to what it says about itself."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.shop import ShopConfig, event_chunks, ground_truth, write_parquet
from ml.shop.__main__ import main
from ml.shop.day import Memory, simulate_day
from ml.shop.errors import BadShop, UnwritableShop
from ml.shop.events import SCHEMA
from ml.shop.market import demand_factor, market_of, promotion_depths

SMALL = ShopConfig(customers=60, days=130, seed=5)


def events(config: ShopConfig, rows: int = 50_000) -> pd.DataFrame:
    frame: pd.DataFrame = pa.concat_tables(event_chunks(config, rows=rows)).to_pandas()
    return frame


def purchases(config: ShopConfig) -> pd.DataFrame:
    frame = events(config)
    return frame[frame["event_type"] == "item_purchased"].reset_index(drop=True)


def number(customer: pd.Series) -> np.ndarray:
    return customer.str[1:].astype(int).to_numpy()


def day_of(config: ShopConfig, times: pd.Series) -> np.ndarray:
    return (times - pd.Timestamp(config.start, tz="UTC")).dt.days.to_numpy()


@pytest.mark.parametrize("rows", [7, 1_000])
def test_events_do_not_depend_on_the_size_of_the_chunks(rows):
    tables = list(event_chunks(SMALL, rows=rows))

    assert {len(table) for table in tables[:-1]} <= {rows}
    assert pa.concat_tables(tables).equals(pa.concat_tables(event_chunks(SMALL)))


def test_equal_seeds_give_equal_shops_and_other_seeds_others():
    first, again = events(SMALL), events(SMALL)
    other = events(ShopConfig(customers=60, days=130, seed=6))

    pd.testing.assert_frame_equal(first, again)
    assert not first["sku"].equals(other["sku"])


def test_the_first_customers_of_a_larger_shop_are_those_of_a_smaller_one():
    larger = events(ShopConfig(customers=200, days=130, seed=5))
    larger = larger[number(larger["customer"]) < 60].reset_index(drop=True)

    pd.testing.assert_frame_equal(larger, events(SMALL))


def test_a_longer_shop_begins_with_the_days_of_a_shorter_one():
    longer = events(ShopConfig(customers=60, days=160, seed=5))
    end = pd.Timestamp(SMALL.start, tz="UTC") + pd.Timedelta(days=130)

    pd.testing.assert_frame_equal(longer[longer["occurred_at"] < end], events(SMALL))


def test_events_come_in_order_of_time_with_the_declared_columns():
    table = pa.concat_tables(event_chunks(SMALL))

    assert table.schema == SCHEMA
    assert table.to_pandas()["occurred_at"].is_monotonic_increasing


def test_lines_of_an_order_are_numbered_from_one_without_gaps():
    lines = purchases(SMALL)

    numbers = lines.groupby("order_id")["line_no"].agg(["min", "max", "size", "nunique"])

    assert (numbers["min"] == 1).all()
    assert (numbers["max"] == numbers["size"]).all()
    assert (numbers["nunique"] == numbers["size"]).all()
    assert not lines.duplicated(["order_id", "line_no"]).any()


def test_prices_have_two_decimals_and_never_exceed_the_list_price():
    lines = purchases(SMALL)

    cents = lines["unit_price"] * 100
    assert np.allclose(cents, cents.round(), atol=1e-9)
    assert (lines["unit_price"] > 0).all()
    assert (lines["unit_price"] <= lines["list_price"]).all()
    assert (lines["quantity"] > 0).all()


def test_nobody_orders_before_joining_or_after_dropping_out():
    config = ShopConfig(customers=300, days=200, seed=1, dropout_mean_days=80)
    agents, lines = ground_truth(config), purchases(config)
    day, who = day_of(config, lines["occurred_at"]), number(lines["customer"])

    assert (agents.dropout_day < 200).any()
    assert (agents.joined_day > 0).any()
    assert (day >= agents.joined_day[who]).all()
    assert (day < agents.dropout_day[who]).all()


def test_orders_come_at_the_rates_of_the_ground_truth():
    config = ShopConfig(customers=1_500, days=120, seed=2, wave_every_days=0)
    agents = ground_truth(config)
    days = np.arange(120)[:, None]
    present = (agents.joined_day <= days) & (days < agents.dropout_day)
    demand = np.array([demand_factor(config, int(day)) for day in days[:, 0]])
    chance = present * -np.expm1(-demand[:, None] * agents.orders_per_day)

    orders = purchases(config)["order_id"].nunique()

    deviation = np.sqrt((chance * (1 - chance)).sum())
    assert abs(orders - chance.sum()) < 4 * deviation


def test_elasticities_have_the_configured_mean_and_spread():
    elasticity = ground_truth(ShopConfig(customers=20_000, days=1, seed=3)).elasticity

    assert elasticity.min() > 0
    assert elasticity.mean() == pytest.approx(1.8, abs=0.02)
    assert elasticity.std() == pytest.approx(0.5, abs=0.03)


def test_demand_peaks_before_christmas_and_rests_on_saturdays():
    config = ShopConfig(customers=1, days=365, seed=0, start=date(2010, 1, 4))
    demand = np.array([demand_factor(config, day) for day in range(364)]).reshape(52, 7)

    assert demand.sum(axis=1).argmax() in (46, 47, 48)
    assert demand.sum(axis=1).max() > 1.5 * demand.sum(axis=1).mean()
    assert (demand.argmin(axis=1) == 5).all()


def test_promotions_last_a_week_from_monday_and_are_what_customers_pay():
    config = ShopConfig(customers=400, days=21, seed=4, wave_every_days=0)
    weeks = [promotion_depths(config, day) for day in range(21)]

    assert all(np.array_equal(weeks[day], weeks[day // 7 * 7]) for day in range(21))
    assert not np.array_equal(weeks[0], weeks[7])
    lines = purchases(config)
    lines = lines[lines["quantity"] < 12]  # below the first tier
    item = lines["sku"].str[1:].astype(int).to_numpy() - 1
    off = np.array(weeks)[day_of(config, lines["occurred_at"]), item]
    assert np.allclose(lines["unit_price"], lines["list_price"] * (1 - off), atol=0.0051)


def test_offers_are_assigned_by_lot_in_both_arms_and_only_the_treated_pay_less():
    config = ShopConfig(customers=1_000, days=70, seed=4, promotion_share=0.0)
    frame = events(config)
    offers = frame[frame["event_type"] == "offer_assigned"]
    treated = set(offers[offers["arm"] == "treatment"]["customer"])
    control = set(offers[offers["arm"] == "control"]["customer"])
    assert len(treated) == pytest.approx(len(control), abs=4 * np.sqrt(len(offers)))
    assert not treated & control

    lines = frame[(frame["event_type"] == "item_purchased") & (frame["quantity"] < 12)]
    inside = (lines["occurred_at"] >= offers["valid_from"].iloc[0]) & (
        lines["occurred_at"] < offers["valid_until"].iloc[0]
    )
    paid = lines["unit_price"] / lines["list_price"]
    depth = offers["depth"].iloc[0]
    offered = inside & lines["customer"].isin(treated)
    assert offered.any()
    assert np.allclose(paid[~offered & (lines["list_price"] > 0)], 1)
    quiet = offered & (lines["list_price"] > 1)
    assert np.allclose(paid[quiet], 1 - depth, atol=0.0051)


def test_every_wave_has_an_offer_of_its_own_and_nobody_enters_one_twice():
    frame = events(ShopConfig(customers=60, days=300, seed=5))
    offers = frame[frame["event_type"] == "offer_assigned"]

    assert offers["campaign_id"].nunique() == 5
    assert (offers.groupby("campaign_id")["offer_id"].nunique() == 1).all()
    assert not offers.duplicated(["customer", "offer_id"]).any()


def test_a_shop_without_waves_makes_no_offer():
    config = ShopConfig(customers=60, days=130, seed=5, wave_every_days=0)

    assert not (events(config)["event_type"] == "offer_assigned").any()
    assert (events(SMALL)["event_type"] == "offer_assigned").any()


def test_a_return_names_a_line_bought_earlier_and_at_most_its_quantity():
    config = ShopConfig(customers=150, days=120, seed=9, return_share=0.2)
    frame = events(config)
    bought = frame[frame["event_type"] == "item_purchased"]
    back = frame[frame["event_type"] == "item_returned"]

    both = back.merge(bought, on=["customer", "order_id", "line_no"], suffixes=("", "_bought"))

    assert len(both) == len(back) > 50
    assert (both["occurred_at"] > both["occurred_at_bought"]).all()
    assert (both["quantity"] <= both["quantity_bought"]).all()
    assert (both["sku"] == both["sku_bought"]).all()
    assert (both["unit_price"] == both["unit_price_bought"]).all()


def test_customers_come_back_for_what_they_bought_before():
    config = ShopConfig(customers=3_000, days=1, seed=8, wave_every_days=0)
    liked = int(market_of(config).popularity.argmax())
    without, fond = Memory.empty(3_000), Memory.empty(3_000)
    fond.items[:] = liked  # all of their last lines
    fond.written[:] = 32

    shares = [
        (simulate_day(config, 0, memory, np.zeros(3_000)).item == liked).mean()
        for memory in (without, fond)
    ]

    assert shares[1] > 5 * shares[0] > 0


def test_customers_remember_their_last_lines_and_no_more():
    config = ShopConfig(customers=3_000, days=1, seed=8, lines_per_order=40.0)
    memory = Memory.empty(3_000)

    bought = simulate_day(config, 0, memory, np.zeros(3_000))

    who, lines = np.unique(bought.customer, return_counts=True)
    assert (lines > 32).any()
    assert np.array_equal(memory.counts(who, 300).sum(axis=1), np.minimum(lines, 32))
    last = bought.item[bought.line_no == bought.lines_of_order]
    assert (memory.counts(who, 300)[np.arange(len(who)), last] > 0).all()
    assert np.array_equal(memory.written[who], lines)


@pytest.mark.parametrize(
    "wrong",
    [
        {"customers": 0},
        {"days": 0},
        {"seed": -1},
        {"items": 3},
        {"return_share": 1.5},
        {"offer_days": 56},
        {"elasticity_mean": float("nan")},
    ],
)
def test_a_size_out_of_range_is_refused_by_name(wrong):
    with pytest.raises(BadShop, match=next(iter(wrong))):
        ShopConfig(**{"customers": 10, "days": 10, "seed": 0, **wrong})


def test_a_shop_in_which_nothing_happens_is_a_file_without_rows(tmp_path: Path):
    config = ShopConfig(customers=1, days=1, seed=0, orders_per_year=0.1)

    rows = write_parquet(config, tmp_path / "shop.parquet")

    assert rows == 0
    assert pq.read_table(tmp_path / "shop.parquet").schema.equals(SCHEMA)


def test_the_command_writes_the_shop_and_its_truth(tmp_path: Path, capsys):
    out, truth = tmp_path / "shop.parquet", tmp_path / "truth.parquet"
    sizes = ["--customers", "60", "--days", "130", "--seed", "5"]

    code = main([*sizes, "--truth", str(truth), str(out)])

    assert code == 0
    assert pq.read_table(out).equals(pa.concat_tables(event_chunks(SMALL)))
    assert pq.read_table(truth)["elasticity"].to_numpy() == pytest.approx(
        ground_truth(SMALL).elasticity
    )
    assert "60 customers" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--customers", "0", "x.parquet"], ["/no/such/x.parquet"]])
def test_the_command_says_what_is_wrong_and_fails(arguments, capsys):
    assert main([*arguments, "--days", "3"]) == 2
    assert "error:" in capsys.readouterr().err


def test_a_file_that_cannot_be_finished_leaves_nothing_behind(tmp_path: Path):
    def stop(rows: int, reached_ms: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_parquet(SMALL, tmp_path / "shop.parquet", on_progress=stop)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_cannot_be_written_as_a_file(tmp_path: Path):
    with pytest.raises(UnwritableShop, match="cannot be written"):
        write_parquet(SMALL, tmp_path)
