"""Markets: counted from the events that are there, read by forecasts, never changed."""

from datetime import UTC, date, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import ProgrammingError, transaction

from tests.builders import DAY, HOUR, NOON
from tests.twins.builders import (
    advance_everything,
    customer,
    happen,
    orders,
    purchase,
    stored_model,
    twin,
    verified,
)
from twins.history import twin_at
from twins.markets import market_known_at, newest_market
from twins.models import MarketSnapshot, ModelVersion, Twin
from twins.selectors import loaded_model
from twins.services import count_market, count_markets, fresh_twin, rebuild_twins

pytestmark = pytest.mark.django_db


def bought_every_day(days: int, start: datetime = NOON) -> None:
    """Someone bought one of the first few items on each day."""
    happen(customer(), *orders(days), start=start, step=DAY)


def test_a_market_counts_what_was_bought_before_midnight(model: ModelVersion):
    bought_every_day(10)

    row = count_market(model_id=model.id, at=NOON + 6 * DAY)

    assert row is not None
    assert row.day == (NOON + 6 * DAY).date()
    assert (row.number, row.lines) == (6, 6)
    market = newest_market(model.id)
    assert market is not None
    assert market.number == 6
    shares = market.popularity[0]
    assert shares[0] == shares[5] > shares[6]  # SKU0 to SKU5 were sold once each


def test_a_shop_that_rests_is_remembered_by_its_last_days(model: ModelVersion):
    bought_every_day(5)

    row = count_market(model_id=model.id, at=NOON + 900 * DAY)

    assert row is not None
    assert row.day == (NOON + 5 * DAY).date()
    assert count_market(model_id=model.id, at=NOON + 901 * DAY) is None
    assert MarketSnapshot.objects.count() == 1


def test_technical_lines_and_outliers_are_no_part_of_a_market(model: ModelVersion):
    bought_every_day(4)
    someone = customer()
    happen(someone, purchase("T"), start=NOON + DAY, metadata={"technical": True})
    happen(someone, purchase("O"), start=NOON + DAY, metadata={"outlier": True})

    row = count_market(model_id=model.id, at=NOON + 4 * DAY)

    assert row is not None
    assert row.lines == 4


def test_a_model_without_a_mixture_counts_none(db: None):
    network = loaded_model(stored_model(seed=3).id)
    network.next_item = None
    assert newest_market(ModelVersion.objects.get().id) is None
    bought_every_day(3)
    assert count_market(model_id=ModelVersion.objects.get().id, at=NOON + 9 * DAY) is None


@pytest.mark.parametrize("alone", [False, True])
def test_forecasts_name_the_market_that_they_read_and_read_the_newest(
    model: ModelVersion, alone: bool
):
    someone = customer()
    happen(someone, *orders(3), start=NOON, step=DAY)
    advance_everything()
    own = twin(someone).forecast
    assert own["market_day"] == loaded_model(model).next_item.market.day

    bought_every_day(30, start=NOON + DAY)
    count_market(model_id=model.id, at=NOON + 20 * DAY)
    happen(someone, purchase("NEXT"), start=NOON + 20 * DAY)
    if alone:
        fresh_twin(pseudonym=someone, at=NOON)
    advance_everything()

    newer = twin(someone).forecast
    assert date(1970, 1, 1) + timedelta(newer["market_day"]) == (NOON + 20 * DAY).date()
    assert newer["top_items"] != own["top_items"]
    assert verified(someone).differences == []


def test_a_rebuild_counts_the_market_first(model: ModelVersion):
    bought_every_day(12)
    other = stored_model(seed=5)

    for _ in rebuild_twins(model_id=other.id, at=NOON + 12 * DAY):
        pass

    (row,) = MarketSnapshot.objects.filter(model_version=other)
    assert row.day == (NOON + 12 * DAY).date()
    (made,) = Twin.objects.filter(model_version=other)
    assert date(1970, 1, 1) + timedelta(made.forecast["market_day"]) == row.day


def test_a_past_version_reads_the_market_of_the_monday_before_it_was_recorded(model: ModelVersion):
    monday = datetime(2030, 5, 6, tzinfo=UTC)  # nothing is recorded before now
    bought_every_day(40, start=monday - 10 * DAY)
    for day in (monday, monday + DAY, monday + 7 * DAY):
        count_market(model_id=model.id, at=day + HOUR)
    someone = customer()
    happen(someone, *orders(2), start=monday, at=monday + 3 * DAY)
    happen(someone, purchase("LATE"), start=monday + DAY, at=monday + 12 * DAY)
    advance_everything(at=monday + 12 * DAY)

    days = [twin_at(twin(someone), version).forecast["market_day"] for version in (1, 2)]

    assert {date(1970, 1, 1) + timedelta(day) for day in days} == {monday.date()}
    before_all = market_known_at(model.id, monday)
    assert before_all is None  # it was counted an hour later


def test_old_markets_go_but_mondays_stay(model: ModelVersion):
    bought_every_day(40)
    for day in range(2, 31):  # the model has one of the first day itself
        count_market(model_id=model.id, at=NOON + day * DAY)
    assert MarketSnapshot.objects.count() == 29

    count_markets(at=NOON + 31 * DAY)

    kept = sorted(MarketSnapshot.objects.values_list("day", flat=True))
    horizon = (NOON + 31 * DAY).date() - timedelta(14)
    assert [d for d in kept if d < horizon] == [date(2011, 5, 9), date(2011, 5, 16)]
    assert len([d for d in kept if d >= horizon]) == 15


def test_a_market_never_changes(model: ModelVersion):
    bought_every_day(3)
    row = count_market(model_id=model.id, at=NOON + 3 * DAY)
    assert row is not None
    with pytest.raises(ProgrammingError, match="immutable"), transaction.atomic():
        MarketSnapshot.objects.filter(id=row.id).update(number=99)


def test_the_command_says_what_it_counted(model: ModelVersion):
    bought_every_day(3)
    out = StringIO()
    call_command("count_market", stdout=out)
    assert "3 lines on 3 days before 2011-05-05" in out.getvalue()
    call_command("count_market", stdout=out)
    assert "nothing newer" in out.getvalue()


def test_a_twin_whose_own_items_are_not_those_of_its_events_is_found(model: ModelVersion):
    someone, other = customer(), customer()
    happen(someone, *orders(3))
    happen(other, *orders(2))
    advance_everything()
    assert verified(someone, other).differences == []

    Twin.objects.filter(pseudonym=someone).update(items=twin(other).items)

    (difference,) = verified(someone, other).differences
    assert (difference.pseudonym, difference.what) == (someone, "own items differ")
