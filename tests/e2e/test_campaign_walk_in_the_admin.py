"""A campaign from composing to settlement in the admin, with the mouse of a real browser.

Screenshots of every page lie in the folder that DTOC_SCREENSHOTS names, for people to look at.
"""

import csv
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.browser import Page, browser
from tests.e2e.client import Client, eventually
from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_800)]  # the stack's beginning is in it
DAY, MIDNIGHT = "2010-07-23", "00:00:00"  # the shop's history ends the day before
LAUNCHED = "2010-07-30T12:00:00Z"
ADMIN = "/admin/campaigns"
CHARTS = """[...document.querySelectorAll('canvas.chart')].map(canvas => {
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return Chart.getChart(canvas).data.datasets.length > 0 && pixels.some(value => value > 0);
})"""


class Walk:
    """A page that somebody is logged in on, and where its screenshots go."""

    def __init__(self, page: Page, base: str, shots: Path) -> None:
        self.page, self.base, self.shots, self.taken = page, base, shots, 0

    def open(self, path: str) -> None:
        self.page.open(self.base + path)

    def fill(self, fields: dict[str, str]) -> None:
        for name, text in fields.items():
            self.page.type(name, text)

    def save(self) -> None:
        self.page.click("button[name='_save']")

    def shoot(self, name: str) -> None:
        """A screenshot; the page brought nothing from elsewhere and no script of it failed."""
        self.taken += 1
        self.page.screenshot(self.shots / f"{self.taken:02}-{name}.png")
        foreign = [url for url in self.page.requests if not url.startswith((self.base, "data:"))]
        assert (foreign, self.page.errors) == ([], [])

    def sees_charts(self, number: int) -> None:
        """So many charts are on the page, and something is drawn on each before long."""
        self.page.wait_for(
            f"(drawn => drawn.length === {number} && drawn.every(Boolean))({CHARTS})"
        )


@pytest.fixture(scope="module")
def walk(stack: Stack, client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """Logged in as a superuser, once the twins of the shop are there."""
    eventually(lambda: "dtoc_twin_lag_events 0.0" in client.metrics(), "no twin lags")
    name, password = f"walker-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    stack.environment["DJANGO_SUPERUSER_PASSWORD"] = password
    stack.manage("createsuperuser", "--noinput", "--username", name, "--email", "")
    shots = Path(os.environ.get("DTOC_SCREENSHOTS") or tmp_path_factory.mktemp("shots"))
    shots.mkdir(parents=True, exist_ok=True)
    with browser() as page:
        walk = Walk(page, stack.base, shots)
        walk.open("/admin/")
        walk.fill({"username": name, "password": password})
        page.click_text("Log in")
        page.wait_for("location.pathname === '/admin/'")
        yield walk


def compose(walk: Walk, name: str, **economics: str) -> None:
    walk.open(f"{ADMIN}/campaign/")
    walk.page.click("a.addlink")
    walk.page.wait_for("!!document.querySelector('[name=currency]')")
    walk.fill({"name": name, "currency": "GBP", **economics})
    walk.save()
    walk.page.wait_for_text("None yet.")


def choose_audience(walk: Walk) -> str:
    """The path of its page."""
    walk.open(f"{ADMIN}/audience/add/")
    walk.fill({"orders_at_least": "2", "sample": "60", "as_of_0": DAY, "as_of_1": MIDNIGHT})
    walk.shoot("audience-form")
    walk.save()
    walk.page.wait_for_text("Simulate a campaign on this audience")
    assert "sample 60" in walk.page.text()
    walk.shoot("audience")
    path: str = walk.page.ask("location.pathname")
    return path


def simulate(walk: Walk, audience: str, campaign: str) -> str:
    """Starts a simulation and waits until it has succeeded; the path of its page."""
    walk.open(audience)
    walk.page.click_text("Simulate a campaign on this audience")
    walk.page.wait_for("!!document.querySelector('[name=discounts]')")
    walk.page.choose("campaign", campaign)
    grid = {"discounts": "0, 20", "delays_days": "0, 7", "replicates": "4", "seed": "7"}
    walk.fill({**grid, "as_of_0": DAY, "as_of_1": MIDNIGHT})
    walk.shoot(f"simulation-form-{campaign}")
    walk.save()
    walk.page.wait_for_text("customers (")
    walk.page.wait_for_text(f"{campaign}: succeeded")  # without a hand on the page
    path: str = walk.page.ask("location.pathname")
    return path


def compare(walk: Walk) -> None:
    walk.page.click("input[type=checkbox][name=ids]")
    walk.page.click_text("Compare")
    walk.page.wait_for_text("compared by profit")
    assert "1. By post" in walk.page.text()
    assert "2. Spring" in walk.page.text()
    walk.sees_charts(3)
    walk.shoot("comparison")


def launch(walk: Walk, simulation: str) -> str:
    """Launches its first scenario with an offer; the id of the launch."""
    walk.open(simulation)
    walk.page.click_text("Launch a scenario")
    walk.page.wait_for("!!document.querySelector('[name=holdout]')")
    walk.page.choose("scenario", "20 % at once")
    walk.fill({"holdout": "50", "starts_at_0": DAY, "starts_at_1": MIDNIGHT})
    walk.shoot("launch-form")
    walk.save()
    walk.page.wait_for_text("Settle now")  # without a hand on the page
    walk.sees_charts(1)
    walk.shoot("launch-running")
    found: str = walk.page.ask("location.pathname.split('/')[4]")
    return found


def half_of_the_treated_buy(client: Client, launch_id: str) -> tuple[int, int]:
    """For 9 pounds each; how many were made the offer, and how many of them bought."""
    export = client.text(f"/api/v1/launches/{launch_id}/export.csv")
    treated = [row["pseudonym"] for row in csv.DictReader(export.splitlines())]
    line = {"line_no": 1, "sku": "S00001", "quantity": 2, "unit_price": "4.50"}
    where = {"currency": "GBP", "country": "GB"}
    events = [
        {
            "customer": who,
            "type": "item_purchased",
            "occurred_at": LAUNCHED,
            "data": {"order_id": f"walk {who}", **line, **where},
        }
        for who in treated[::2]
    ]
    assert client.post("events/", events)["accepted"] == len(events)
    return len(treated), len(events)


def test_a_campaign_is_composed_simulated_compared_launched_and_settled(walk: Walk, client: Client):
    compose(walk, "Spring", margin_rate="0.6", contact_cost="0.05")
    walk.shoot("campaign")
    compose(walk, "By post", margin_rate="0.6", contact_cost="0.80")
    audience = choose_audience(walk)

    spring = simulate(walk, audience, "Spring")
    walk.sees_charts(1)
    walk.shoot("simulation")
    simulate(walk, audience, "By post")
    compare(walk)

    treated, buyers = half_of_the_treated_buy(client, launch(walk, spring))
    walk.page.click_text("Settle now")
    walk.page.wait_for_text("at once: settled")

    assert f"{treated} treated, {60 - treated} held out" in walk.page.text()
    assert f"{9 * buyers / treated:.2f}" in walk.page.text()  # those held out bought nothing
    walk.sees_charts(1)
    walk.shoot("launch-settled")
    for page in ("campaign", "simulationrun", "policyledgerentry"):
        walk.open(f"{ADMIN}/{page}/")
        walk.shoot(f"list-of-{page}")


def test_a_form_that_asks_for_what_cannot_be_says_so_at_its_field(walk: Walk):
    walk.open(f"{ADMIN}/audience/add/")
    walk.fill({"orders_at_least": "99999"})
    walk.save()
    walk.page.wait_for_text("nobody is left of")
    walk.shoot("nobody")
    walk.open(f"{ADMIN}/campaign/add/")
    walk.fill({"name": "Never", "currency": "GBP", "offer_days": "0"})
    walk.save()
    walk.page.wait_for_text("offer_days is 0, expected 1 to 365 days")
    walk.shoot("zero-days")


def test_an_elasticity_is_asked_for_only_where_it_is_stated(walk: Walk):
    shown = "document.querySelector('[name=elasticity]').offsetParent !== null"
    walk.open(f"{ADMIN}/simulationrun/add/")

    walk.page.wait_for(shown)
    walk.page.choose("response_kind", "estimated")
    walk.page.wait_for(f"!({shown})")
