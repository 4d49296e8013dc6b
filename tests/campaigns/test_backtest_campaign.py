"""``manage.py backtest_campaign``: what it prints and writes, what it reads, what it refuses."""

from __future__ import annotations

import gzip
import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from django.core.management import CommandError, call_command

from campaigns.backtest.files import read_customers
from tests.ml.uplift.worlds import World, world, write

QUICK = {"refits": 3, "draws": 40}


@pytest.fixture(scope="module")
def made() -> World:
    return world(customers=300, seed=5)


def run(paths: dict[str, Path], target: Path | None = None, **options: Any) -> str:
    out = StringIO()
    chosen = {"train_until": 408, "wave": 408, **QUICK, **options}
    call_command("backtest_campaign", **paths, **chosen, json=target, stdout=out, stderr=StringIO())
    return out.getvalue()


def figures(paths: dict[str, Path], folder: Path, **options: Any) -> dict[str, Any]:
    run(paths, folder / "report.json", **options)
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


@pytest.fixture(scope="module")
def report(made: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("report")
    printed = run(made.written(folder), folder / "report.json")
    return printed, json.loads((folder / "report.json").read_text())


def test_it_prints_uplift_offers_ranking_and_calibration(report):
    printed, _ = report
    for words in (
        "Offered minus not offered, hours 408 to 480",
        "mean of the earlier waves", "the last earlier wave", "mean of each offer",
        "no effect", "every offer converts",
        "discount 2 for 10, 10 d, offe", "informational",
        "Qini", "AUUC", "uplift among the best 20%",
        "Calibration of spend by decile: slope",
        "the window ended at hour 480 by its length",
    ):  # fmt: skip
        assert words in printed


def test_the_json_holds_every_figure_with_its_interval(report):
    _, found = report
    rows = {(row["outcome"], row["subject"]): row for row in found["uplift"]}
    assert len(rows) == 2 * (1 + 3 + 4)
    spend = rows["spend", "all offers"]
    for name in ("predicted", "caused", "measured"):
        assert spend[name]["low"] < spend[name]["value"] < spend[name]["high"]
    assert spend["off_by"] == pytest.approx(
        spend["predicted"]["value"] / spend["measured"]["value"] - 1
    )
    assert found["covered"]["spend"]["offers"] == 4
    assert found["learned_waves"] == [0, 168, 336]
    assert found["window"] == {"start": 408, "end": 480, "ended_by": "its length"}
    assert [len(found["calibration"][o]["groups"]) for o in ("spend", "bought")] == [10, 10]
    assert {"uplift_at_10", "uplift_at_20", "uplift_at_30"} <= set(found["ranking"][0])


def test_the_measured_difference_is_that_of_the_file(made: World, report):
    _, found = report
    assert found["uplift"][0]["measured"]["value"] == pytest.approx(difference(made, 408))


def difference(made: World, wave: int) -> float:
    """Spend of the 72 hours after a wave, offered minus not offered, straight from the table."""
    events, everybody = made.events, made.profiles["id"]
    late = events[(events["event"] == "transaction") & events["time"].between(wave, wave + 71)]
    spend = late.groupby("person")["amount"].sum().reindex(everybody).fillna(0).to_numpy()
    made_then = events[(events["event"] == "offer received") & (events["time"] == wave)]
    offered = everybody.isin(made_then["person"]).to_numpy()
    return float(spend[offered].mean() - spend[~offered].mean())


def test_simple_rules_look_at_waves_that_were_measured_for_the_whole_window(
    made: World, report, tmp_path: Path
):
    def last(found: dict[str, Any]) -> float:
        rules = {rule["name"]: rule["spend"]["value"] for rule in found["simple_forecasts"]}
        return float(rules["the last earlier wave"])

    assert last(report[1]) == pytest.approx(difference(made, 336))
    cut_short = figures(made.written(tmp_path), tmp_path, train_until=372)
    assert last(cut_short) == pytest.approx(difference(made, 168))


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_all_forms_of_the_files_give_the_same_report(
    made: World, report, tmp_path: Path, kind: str
):
    assert figures(made.written(tmp_path, kind), tmp_path) == report[1]


def test_a_packed_csv_with_only_the_published_columns_is_read(made: World, report, tmp_path: Path):
    paths = made.written(tmp_path)
    told = made.events[["person", "event", "value", "time"]].assign(
        value=made.events["value"].map(lambda text: str(json.loads(text)))  # as Python prints it
    )
    paths["events"] = tmp_path / "events.csv.gz"
    with gzip.open(paths["events"], "wt") as file:
        told.to_csv(file, index=False)
    assert figures(paths, tmp_path) == report[1]


def test_what_customers_did_not_tell_is_missing(made: World, tmp_path: Path):
    customers = read_customers(made.written(tmp_path)["profiles"])
    untold = (made.profiles["age"] == 118).to_numpy()
    assert untold.any()
    assert np.array_equal(np.isnan(customers.age), untold)
    assert np.array_equal(np.isnan(customers.income), untold)
    assert not (customers.female + customers.male)[untold].any()


def test_rows_in_another_order_give_the_same_report(made: World, report, tmp_path: Path):
    shuffled = World(
        *(t.sample(frac=1, random_state=1) for t in (made.events, made.profiles, made.offers)),
        made.spend_effect, made.offered,
    )  # fmt: skip
    assert figures(shuffled.written(tmp_path), tmp_path) == report[1]


def test_another_seed_gives_other_intervals_of_the_same_wave(made: World, report, tmp_path: Path):
    found = figures(made.written(tmp_path), tmp_path, seed=1)
    assert found["uplift"][0]["measured"]["value"] == report[1]["uplift"][0]["measured"]["value"]
    assert found["uplift"][0]["predicted"]["low"] != report[1]["uplift"][0]["predicted"]["low"]


def test_an_earlier_wave_is_forecast_with_a_window_cut_by_the_next(made: World, tmp_path: Path):
    found = figures(made.written(tmp_path), tmp_path, train_until=336, wave=336, window=96)
    assert found["window"] == {"start": 336, "end": 408, "ended_by": "the next wave"}
    assert found["learned_waves"] == [0, 168]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"wave": 409}, "no offers were made at hour 409, only at 0, 168, 336, 408"),
        ({"wave": 336}, "train until hour 336"),
        ({"train_until": 0}, "no offers were made before hour 0"),
        ({"refits": 1}, "--refits is 1, expected at least 2"),
        ({"window": 0}, "--window is 0, expected at least 1"),
    ],
)
def test_what_cannot_be_asked_is_refused(made: World, tmp_path: Path, options, words):
    with pytest.raises(CommandError, match=words):
        run(made.written(tmp_path), **options)


def test_a_missing_folder_is_found_before_anything_is_read(made: World, tmp_path: Path):
    with pytest.raises(CommandError, match="create it or name another file"):
        run(made.written(tmp_path), tmp_path / "nowhere" / "report.json")


def broken(made: World, folder: Path, name: str, table: pd.DataFrame) -> dict[str, Path]:
    paths = made.written(folder)
    paths[name] = write(table, folder / f"broken-{name}.parquet")
    return paths


def test_customers_without_a_profile_are_named(made: World, tmp_path: Path):
    paths = broken(made, tmp_path, "profiles", made.profiles.iloc[2:])
    with pytest.raises(CommandError, match=r"2 customers that have no profile \(customer-00000"):
        run(paths)


def test_offers_that_are_not_described_are_named(made: World, tmp_path: Path):
    paths = broken(made, tmp_path, "offers", made.offers.iloc[1:])
    with pytest.raises(CommandError, match=r"1 offers that are not .* \(offer-a\): add a row"):
        run(paths)


def test_files_in_the_wrong_place_are_told_apart(made: World, tmp_path: Path):
    paths = made.written(tmp_path)
    swapped = {**paths, "events": paths["profiles"], "profiles": paths["events"]}
    with pytest.raises(CommandError, match=r"has no column .*: were the files given in another"):
        run(swapped)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("events.parquet", b"nothing of the kind", "cannot be read"),
        ("events.txt", b"a,b\n1,2\n", r"the name ends in \.txt"),
        ("events.csv", b"person,event,time,offer_id,amount\n", "it has no rows"),
        ("events.csv", b"person,event,time,value\nx,transaction,0,??\n", "expected an object like"),
        ("events.csv", b"", "cannot be read"),
    ],
)
def test_a_file_that_is_no_transcript_says_what_is_wrong(
    made: World, tmp_path: Path, name: str, content: bytes, words: str
):
    paths = made.written(tmp_path)
    paths["events"] = tmp_path / f"other-{name}"
    paths["events"].write_bytes(content)
    with pytest.raises(CommandError, match=words):
        run(paths)


def test_a_missing_file_is_named(made: World, tmp_path: Path):
    paths = {**made.written(tmp_path), "events": tmp_path / "none.parquet"}
    with pytest.raises(CommandError, match=r"none\.parquet cannot be read"):
        run(paths)


@pytest.mark.parametrize(
    ("name", "column", "value", "words"),
    [
        ("events", "amount", -1.0, "column amount: -1.0 was found"),
        ("events", "time", -6, "column time: -6.0 was found"),
        ("profiles", "became_member_on", 20171399, "a day like 20170212"),
        ("offers", "offer_type", "raffle", "bogo or discount or informational"),
    ],
)
def test_values_that_mean_nothing_are_shown(
    made: World, tmp_path: Path, name, column, value, words
):
    table = getattr(made, name).copy()
    row = table.index[table["event"] == "transaction"][0] if name == "events" else table.index[0]
    table.loc[row, column] = value
    with pytest.raises(CommandError, match=words):
        run(broken(made, tmp_path, name, table))


@pytest.mark.data
def test_some_of_the_public_customers_are_forecast(public_data: Path, tmp_path: Path):
    """A quick pass over the real files: that it runs and is plausible, not how good it is."""
    profiles = pd.read_parquet(public_data / "starbucks_profile.parquet").iloc[::6]
    events = pd.read_parquet(public_data / "starbucks_transcript.parquet")
    paths = {
        "events": write(events[events["person"].isin(profiles["id"])], tmp_path / "e.parquet"),
        "profiles": write(profiles, tmp_path / "p.parquet"),
        "offers": public_data / "starbucks_portfolio.parquet",
    }
    found = figures(paths, tmp_path, train_until=336, wave=336)
    spend = found["uplift"][0]
    assert 3 < spend["predicted"]["value"] < 8
    assert spend["predicted"]["low"] < spend["measured"]["value"] < spend["predicted"]["high"]
    assert found["ranking"][0]["qini"]["low"] > 0
    assert np.isfinite(found["calibration"]["spend"]["slope"]["value"])
