"""Small rewards-app tests in which the effect of every offer is known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

STEP = 6
WAVES = (0, 168, 336, 408)
OFFERS = pd.DataFrame(
    [
        ("offer-a", "discount", 2, 10, 10, ["web", "email", "mobile", "social"]),
        ("offer-b", "discount", 3, 7, 10, ["web", "email", "mobile", "social"]),
        ("offer-c", "bogo", 5, 5, 7, ["web", "email"]),
        ("offer-d", "informational", 0, 0, 4, ["email", "mobile"]),
    ],
    columns=["id", "offer_type", "reward", "difficulty", "duration", "channels"],
)
VIEW_CHANCE = np.array([0.3, 0.3, 0.12, 0.2])


@dataclass(frozen=True)
class World:
    """Three tables, and what the offers of the last wave caused in the 72 hours after it."""

    events: pd.DataFrame
    profiles: pd.DataFrame
    offers: pd.DataFrame
    spend_effect: float
    offered: np.ndarray[Any, Any]

    def written(self, folder: Path, kind: str = "parquet") -> dict[str, Path]:
        """The three files, by the name of the option that reads each."""
        tables = {"events": self.events, "profiles": self.profiles, "offers": self.offers}
        folder.mkdir(exist_ok=True)
        return {name: write(t, folder / f"{name}.{kind}") for name, t in tables.items()}


def write(table: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        table.to_parquet(path)
    elif path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        rows = table.drop(columns=["offer_id", "amount"], errors="ignore").to_dict("records")
        path.write_text("".join(json.dumps(plain(row)) + "\n" for row in rows))
    return path


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """As published: ``value`` is an object, the day of joining text, what is missing null."""
    row = {k: (None if isinstance(v, float) and np.isnan(v) else v) for k, v in row.items()}
    if "became_member_on" in row:
        row["became_member_on"] = str(row["became_member_on"])
    if "value" in row:
        row["value"] = json.loads(row["value"])
    return row


def world(
    *, customers: int = 1_500, effect: float = 0.15, keeps: float = 0.0, seed: int = 0,
    until: int = 480,
) -> World:  # fmt: skip
    """Offers that work, once viewed, until they expire: ``effect`` is added to the rate of buying.

    A further offer at work adds ``keeps`` of its effect: 0 nothing, 1 all.
    """
    rng = np.random.default_rng(seed)
    income, member = rng.uniform(3e4, 1.2e5, customers), rng.integers(0, 1_800, customers)
    drawn = np.where(
        rng.random((customers, len(WAVES))) < 0.75, rng.integers(0, 4, (customers, len(WAVES))), -1
    )
    told = _Course(rng, income, member, effect, keeps, until)
    rows, with_offers = told.walk(drawn)
    without = told.walk(np.where(np.arange(len(WAVES)) == len(WAVES) - 1, -1, drawn))[1]
    offered = drawn[:, -1] >= 0
    return World(
        pd.DataFrame(rows, columns=["person", "event", "value", "time", "offer_id", "amount"]),
        profiles(income, member, rng),
        OFFERS,
        float((with_offers - without)[offered].mean()),
        offered,
    )


def profiles(income: Any, member: Any, rng: np.random.Generator) -> pd.DataFrame:
    untold = rng.random(len(income)) < 0.1
    joined = pd.Timestamp("2013-08-01") + pd.to_timedelta(member, unit="D")
    return pd.DataFrame(
        {
            "id": [f"customer-{n:05d}" for n in range(len(income))],
            "age": np.where(untold, 118, rng.integers(18, 90, len(income))),
            "gender": np.where(untold, None, rng.choice(["F", "M", "O"], len(income))),
            "income": np.where(untold, np.nan, income.round()),
            "became_member_on": joined.strftime("%Y%m%d").astype(int),
        }
    )


class _Course:
    """The same luck for every set of offers."""

    def __init__(
        self, rng: Any, income: Any, member: Any, effect: float, keeps: float, until: int
    ) -> None:
        people, self.steps = len(income), until // STEP
        self.views = rng.random((people, len(WAVES), self.steps))
        self.luck = rng.random((people, self.steps))
        self.worth = income / 6_000
        self.amounts = (rng.gamma(4, 0.25, (people, self.steps)) * self.worth[:, None]).round(2)
        self.base = 0.03 * np.exp(0.3 * rng.standard_normal(people))
        self.response = effect * np.exp(-(member - 900) / 900)
        self.keeps = keeps

    def walk(self, drawn: Any) -> tuple[list[tuple[Any, ...]], Any]:
        """The events, and the expected spend of each customer after the last wave."""
        rows: list[tuple[Any, ...]] = []
        viewed = np.full(drawn.shape, 10_000)
        start = np.array(WAVES)[None, :] // STEP
        end = start + OFFERS["duration"].to_numpy()[drawn] * 24 // STEP
        expected = np.zeros(len(drawn))
        for step in range(self.steps):
            open_now = (drawn >= 0) & (start <= step) & (step <= end)
            self._receive(rows, drawn, step)
            seen = open_now & (viewed > step) & (self.views[:, :, step] < VIEW_CHANCE[drawn])
            viewed = np.where(seen, step, viewed)
            self._tell(rows, "offer viewed", step, seen, drawn)
            works = (open_now & (viewed <= step)).sum(axis=1)
            rate = self.base + self.response * ((works > 0) + self.keeps * np.maximum(works - 1, 0))
            chance = 1 - np.exp(-rate)
            self._sell(rows, step, self.luck[:, step] < chance)
            if WAVES[-1] <= step * STEP < WAVES[-1] + 72:
                expected += chance * self.worth
        return rows, expected

    def _receive(self, rows: list[tuple[Any, ...]], drawn: Any, step: int) -> None:
        if step * STEP in WAVES:
            now = (np.array(WAVES) == step * STEP)[None, :] & (drawn >= 0)
            self._tell(rows, "offer received", step, now, drawn)

    @staticmethod
    def _tell(rows: list[tuple[Any, ...]], event: str, step: int, mask: Any, drawn: Any) -> None:
        for person, slot in zip(*np.nonzero(mask), strict=True):
            offer = OFFERS["id"][drawn[person, slot]]
            value = json.dumps({"offer id": offer})
            rows.append((f"customer-{person:05d}", event, value, step * STEP, offer, None))

    def _sell(self, rows: list[tuple[Any, ...]], step: int, bought: Any) -> None:
        for person in np.flatnonzero(bought):
            amount = max(float(self.amounts[person, step]), 0.01)
            value = json.dumps({"amount": amount})
            rows.append((f"customer-{person:05d}", "transaction", value, step * STEP, None, amount))
