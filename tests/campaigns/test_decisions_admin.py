"""The pages of decisions: to be read, found by pseudonym, and never counted through."""

from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from campaigns.models import LiveOffer
from campaigns.services import report_outcome
from tests.campaigns.decisions import AT, HOUR, WEAK, a_campaign, agrees, decided, live

pytestmark = pytest.mark.django_db
DECISIONS = "/admin/campaigns/decision/"
LIVE_OFFERS = "/admin/campaigns/liveoffer/"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password=uuid4().hex))
    return client


def test_the_list_tells_reasons_and_finds_customers_by_pseudonym(
    staff: Client, agreeing: list[UUID]
):
    live(a_campaign("Spring"))
    decided(agreeing[0])
    decided(agreeing[1])

    both = staff.get(DECISIONS).content.decode()
    one = staff.get(DECISIONS, {"q": str(agreeing[0])}).content.decode()

    assert both.count("Spring adds ") == 2
    assert str(agreeing[0]) in one
    assert str(agreeing[1]) not in one


def test_no_page_counts_all_decisions(staff: Client, agreeing: list[UUID]):
    live()
    decided(agreeing[0])

    with CaptureQueriesContext(
        connection,
    ) as queries:
        staff.get(DECISIONS)

    told = [one["sql"] for one in queries if '"campaigns_decision"' in one["sql"]]
    assert told
    for sql in told:
        assert "COUNT" not in sql or "LIMIT" in sql
        assert '"candidates"' not in sql


def test_a_page_says_why_each_offer_was_chosen_or_not(staff: Client, agreeing: list[UUID]):
    live(a_campaign("Best"))
    live(a_campaign("Poor"), response=WEAK)
    decision = decided(agreeing[0])
    report_outcome(decision_id=decision.id, outcome="shown", at=AT + HOUR)

    page = staff.get(f"{DECISIONS}{decision.id}/change/").content.decode()

    assert "An offer was made" in page
    assert "the most of the offers that may be made" in page
    assert "making no offer adds 0" in page
    assert "Outcome: Shown, 2011-05-02 13:00 UTC" in page


def test_a_page_of_no_offer_says_that_the_twin_was_not_asked(staff: Client, shop: list[UUID]):
    live()

    page = staff.get(f"{DECISIONS}{decided(shop[0]).id}/change/").content.decode()

    assert "The customer has not agreed to marketing." in page
    assert "The twin was not asked" in page
    assert staff.get(f"{DECISIONS}{uuid4()}/change/").status_code == 302


def test_live_offers_are_listed_and_closed_by_those_who_may(staff: Client, client: Client):
    offer = live(skus=["A"])
    clerk = User.objects.create_user("clerk", password=uuid4().hex, is_staff=True)
    close = {"action": "close", "_selected_action": [str(offer.id)]}

    assert "1 named" in staff.get(LIVE_OFFERS).content.decode()
    other = Client()
    other.force_login(clerk)
    other.post(LIVE_OFFERS, close)
    assert LiveOffer.objects.get().closed_at is None
    staff.post(LIVE_OFFERS, close)
    assert LiveOffer.objects.get().closed_at is not None


@pytest.mark.parametrize("path", [DECISIONS, LIVE_OFFERS])
def test_nothing_is_added_changed_or_deleted_here(staff: Client, agreeing: list[UUID], path: str):
    live()
    decided(agreeing[0])
    agrees(agreeing[0])

    assert staff.get(f"{path}add/").status_code == 403
