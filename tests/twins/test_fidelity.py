"""What the advancer foresaw, summed by day: exactly what came, once, and nothing else."""

import json
from datetime import date, timedelta
from unittest import mock
from uuid import uuid4

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client

from common.models import OutboxMessage
from ml.foresight import foresee
from tests.builders import DAY, HOUR, NOON
from tests.twins.builders import (
    advance_everything,
    customer,
    happen,
    orders,
    purchase,
    returned,
    stored_model,
    twin,
    viewed,
)
from twins.encoding import event_table, fold_order
from twins.fidelity import (
    Fidelity,
    drift_of,
    fidelity_by_day,
    fidelity_by_segment,
    lines_to_score,
    total_of,
)
from twins.folding import fold_from_start, whole_histories
from twins.metrics import twin_metrics
from twins.models import FidelityDay, ModelVersion
from twins.selectors import loaded_model
from twins.services import fresh_twin, rebuild_twins, watch_drift

pytestmark = pytest.mark.django_db
TODAY = NOON.date()


def of_day(model: ModelVersion, day: date = TODAY) -> Fidelity:
    return fidelity_by_day(model.id, since=day, until=day)[day]


def test_of_events_that_somebody_waits_for_a_share_is_scored(model: ModelVersion, settings):
    settings.DTOC_FIDELITY_SHARE = 0.5
    someone = customer()
    happen(someone, *orders(1))
    advance_everything()
    chosen = 0
    for number in range(40):
        happen(someone, purchase(f"N{number}"), start=NOON + (number + 1) * HOUR)
        (*_, event) = whole_histories([someone])[someone]
        chosen += lines_to_score(event.event_id) > 0
        fresh_twin(pseudonym=someone, at=NOON)

    assert of_day(model).lines == chosen
    assert 5 < chosen < 35


def test_all_or_none_of_them_can_be_scored(settings):
    ids = [str(uuid4()) for _ in range(50)]
    for share, expected in ((0.0, 0), (1.0, 256)):
        settings.DTOC_FIDELITY_SHARE = share
        assert {lines_to_score(one) for one in ids} == {expected}
    assert lines_to_score() == 256


def test_each_line_is_scored_by_what_its_twin_expected_just_before(model: ModelVersion):
    people = [customer() for _ in range(4)]
    for number, someone in enumerate(people):
        happen(someone, *orders(number + 1))
    advance_everything()
    assert not FidelityDay.objects.exists()  # histories that are new are not foreseen
    states = fold_from_start(loaded_model(model), whole_histories(people))
    seen_by = list(whole_histories(people))

    new = [purchase("NEW", 1, "SKU3"), purchase("NEW", 2, "NOVELTY"), purchase("NEXT", 1, "SKU1")]
    for someone in people:
        happen(someone, *new, returned("NEW"), viewed(), start=NOON + DAY)
    histories = whole_histories(people)
    later = [
        [e for e in fold_order(histories[p], clock_ms=1) if e.occurred_at_ms >= _ms(NOON + DAY)]
        for p in seen_by
    ]
    loaded = loaded_model(model)
    assert loaded.next_item is not None
    expected = foresee(loaded, states, event_table(later), loaded.next_item.market)
    advance_everything()

    day = of_day(model)
    assert (day.lines, day.known) == (12, 8)
    assert day.nll == pytest.approx(float(np.nansum(expected.nll)), rel=1e-4)
    assert day.hits_10 == 8  # of eight items all are among the ten likeliest
    assert day.hits_1 == int((expected.rank == 1).sum())
    found = {(s, o): f.lines for s, o, f in fidelity_by_segment(model.id, since=TODAY, until=TODAY)}
    # They had one to four orders; one more once NEW is open.
    assert found == {
        ("first", True): 1,
        ("2-4", True): 3 + 3,
        ("2-4", False): 3,
        ("5-9", True): 1,
        ("5-9", False): 1,
    }


def test_what_is_scored_is_bounded_but_never_nothing(model: ModelVersion, settings):
    people = [customer() for _ in range(6)]
    for someone in people:
        happen(someone, *orders(1))
    advance_everything()
    settings.DTOC_FIDELITY_LINES = 3
    for someone in people:
        happen(someone, *orders(2, prefix="N"), start=NOON + DAY)
    advance_everything()
    shards = FidelityDay.objects.count()
    assert shards
    assert 2 <= of_day(model).lines <= 12
    settings.DTOC_FIDELITY_LINES = 0
    before = of_day(model).lines
    for someone in people:
        happen(someone, *orders(1, prefix="M"), start=NOON + 2 * DAY)
    advance_everything()
    assert of_day(model).lines == before


def test_late_events_and_rebuilds_are_not_scored(model: ModelVersion):
    someone = customer()
    happen(someone, *orders(3), start=NOON, step=DAY)
    advance_everything()
    happen(someone, purchase("LATE"), start=NOON + HOUR)
    advance_everything()
    other = stored_model(seed=4)
    for _ in rebuild_twins(model_id=other.id, at=NOON):
        pass
    assert twin(someone).fold_mode in ("rewound", "refolded")
    assert not FidelityDay.objects.exists()


def test_a_batch_that_fails_is_not_counted(model: ModelVersion):
    someone = customer()
    happen(someone, *orders(1))
    advance_everything()
    happen(someone, purchase("NEW"), start=NOON + DAY)
    with mock.patch("twins.services.advance.write_heads", side_effect=ArithmeticError("no")):
        advance_everything()
    assert not FidelityDay.objects.exists()


def rows_of(model: ModelVersion, skills: list[float], lines: int = 100) -> None:
    """A row for each day up to today, of twins that know so many nats more than best sellers."""
    for back, skill in enumerate(reversed(skills)):
        FidelityDay.objects.create(
            model_version=model, day=TODAY - timedelta(days=back), segment="2-4", opens=False,
            slot=back % 3, lines=lines, known=lines, hits_1=lines // 10, hits_10=lines // 4,
            reciprocal_ranks=lines / 5, nll=lines * (7.0 - skill), popularity_nll=lines * 7.0,
        )  # fmt: skip


STEADY = [1.0 + 0.02 * (-1) ** n for n in range(28)]


@pytest.mark.parametrize(
    ("recent", "alarming"), [(1.0, False), (0.96, False), (0.9, True), (1.3, False)]
)
def test_a_drift_is_a_loss_of_skill_beyond_chance(model, recent, alarming):
    rows_of(model, [*STEADY, *[recent] * 7])
    drift = drift_of(model.id, at=NOON)
    assert drift is not None
    assert drift.alarming is alarming
    assert drift.allowed == pytest.approx(0.05)
    assert drift.drop == pytest.approx(1.0 - recent)
    assert watch_drift(at=NOON) is alarming
    assert OutboxMessage.objects.filter(type="model.drifted").count() == alarming


def test_days_that_scatter_allow_more(model):
    rows_of(model, [*[1.0 + 0.4 * (-1) ** n for n in range(28)], *[0.8] * 7])
    drift = drift_of(model.id, at=NOON)
    assert drift is not None
    assert drift.allowed == pytest.approx(3 * np.std([0.6, 1.4] * 14, ddof=1) / np.sqrt(7))
    assert not drift.alarming


@pytest.mark.parametrize("skills", [[0.1] * 7, [*STEADY[:3], *[0.1] * 7], []])
def test_too_few_days_say_nothing(model, skills):
    rows_of(model, skills)
    assert drift_of(model.id, at=NOON) is None
    assert watch_drift(at=NOON) is False


def test_metrics_tell_the_week(model, monkeypatch):
    monkeypatch.setattr("twins.metrics.now", lambda: NOON)
    rows_of(model, [*STEADY, *[0.5] * 7])
    found = {(m.name, *s.labels.values()): s.value for m in twin_metrics() for s in m.samples}
    assert found["dtoc_twin_foreseen_lines",] == 700
    assert found["dtoc_twin_top_10_share",] == pytest.approx(0.25)
    assert found["dtoc_twin_nll_nats", "twin"] == pytest.approx(6.5)
    assert found["dtoc_twin_nll_nats", "best sellers"] == pytest.approx(7.0)
    assert found["dtoc_twin_drift",] == 1


def test_the_admin_draws_it_and_raises_the_alarm(model, monkeypatch):
    monkeypatch.setattr("twins.admin_fidelity.now", lambda: NOON)
    admin = User.objects.create_superuser("root")
    client = Client()
    client.force_login(admin)
    page = client.get("/admin/twins/fidelityday/").content.decode()
    assert "Nothing has been scored yet" in page

    rows_of(model, [*STEADY, *[0.5] * 7])
    answer = client.get("/admin/twins/fidelityday/")
    page = answer.content.decode()
    assert "The twins foresee worse than they did" in page
    assert "customers with 2-4 orders: further lines of an order" in page
    chart = json.loads(answer.context["fidelity_charts"][0]["data"])
    assert len(chart["labels"]) == 35
    assert chart["datasets"][0]["data"][-1] == 6.5


def test_sums_of_nothing_are_nothing():
    nothing = total_of([])
    assert (nothing.lines, nothing.mean_nll, nothing.skill) == (0, 0.0, 0.0)


def _ms(moment) -> int:
    return round(moment.timestamp() * 1000)


def test_the_api_tells_days_segments_and_drift(api, model, monkeypatch):
    reader = api("twins:read")
    monkeypatch.setattr("twins.api.fidelity.now", lambda: NOON)
    url = f"/api/v1/models/{model.id}/fidelity/"
    assert reader.get(url).json() == {"days": [], "segments": [], "drift": None}

    rows_of(model, [*STEADY, *[0.5] * 7])
    body = reader.get(url, {"since": (TODAY - timedelta(days=2)).isoformat()}).json()

    assert [day["day"] for day in body["days"]] == ["2011-04-30", "2011-05-01", "2011-05-02"]
    assert body["days"][0]["lines"] == 100
    assert body["days"][0]["skill"] == pytest.approx(0.5)
    (segment,) = body["segments"]
    assert (segment["segment"], segment["opens_order"], segment["lines"]) == ("2-4", False, 300)
    assert body["drift"]["alarming"] is True
    assert reader.get(url).json()["days"][0]["day"] == "2011-04-02"
    wrong = reader.get(url, {"since": "2012-01-01", "until": "2011-01-01"})
    assert wrong.status_code == 400
    assert "must not be after until" in wrong.content.decode()
    assert reader.get(f"/api/v1/models/{customer()}/fidelity/").status_code == 404
