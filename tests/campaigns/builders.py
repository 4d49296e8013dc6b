"""A small shop with a tiny model: customers, their twins, a campaign and an audience."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from campaigns.criteria import Criteria
from campaigns.models import Audience, Campaign, SimulationRun
from campaigns.services import create_audience, create_campaign, start_simulation
from campaigns.services.run import run_simulation
from common.clock import now
from customers.identities import Newcomer
from customers.services import register_customers
from tests.builders import NOON
from tests.ml.histories import habits, small_model
from twins.artefacts import store_model
from twins.models import ModelVersion, Twin

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ASSUMED = {"kind": "assumed", "mean": 1.5, "spread": 0.5}


def moment(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)


def active_version() -> ModelVersion:
    """A tiny model that is active; its files lie in this test's own folder."""
    return ModelVersion.objects.create(
        name="tiny",
        state=ModelVersion.State.ACTIVE,
        sha256=(digest := store_model(small_model(), {})),
        prefix=digest,
        config={},
        report={},
        cut_off=NOON,
        validation_from=NOON,
        events_count=1,
        events_sha256="0" * 64,
        seed=0,
        code_version="test",
        libraries={},
        created_at=NOON,
    )


def customers(count: int) -> list[UUID]:
    """Registered customers, in no particular order."""
    newcomers = [Newcomer(kind="crm_id", value=uuid4().hex, country="GB") for _ in range(count)]
    return list(register_customers(newcomers=newcomers, at=NOON).values())


def with_twins(version: ModelVersion, pseudonyms: list[UUID]) -> list[UUID]:
    """The customers, each with a twin that has seen some orders of a walk through the items."""
    events, countries = habits(customers=len(pseudonyms), orders=4)
    model = small_model()
    states = model.advance(model.initial_state(countries), events)
    for row, (pseudonym, forecast) in enumerate(
        zip(pseudonyms, model.forecast(states), strict=True)
    ):
        h, c = states.row_bytes(row)
        Twin.objects.create(
            pseudonym=pseudonym,
            model_version=version,
            stream_version=1,
            clock_at=moment(int(states.clock_ms[row])),
            h=h,
            c=c,
            memory=states.memory(row),
            forecast=forecast.as_dict(),
            fold_mode=Twin.FoldMode.ADVANCED,
            snapshot_version=0,
            updated_at=NOON,
        )
    return pseudonyms


def campaign() -> Campaign:
    return create_campaign(
        name="Spring", offer_days=14, currency="GBP", created_by="a test", at=NOON
    )


def audience(criteria: Criteria | None = None, **changes) -> Audience:
    facts = {"as_of": None, "created_by": "a test", "at": NOON}
    return create_audience(criteria=criteria or Criteria(), **{**facts, **changes})


def started(**changes) -> SimulationRun:
    """A queued simulation of two depths and one delay, unless something else is asked for."""
    facts = {
        "depths": [Decimal(0), Decimal("0.2")],
        "delays_days": [0],
        "horizon_days": 30,
        "replicates": 4,
        "seed": 7,
        "response": ASSUMED,
        "requested_by": "a test",
        "at": now(),
    }
    for name, make in (("campaign_id", campaign), ("audience_id", audience)):
        if name not in changes:
            facts[name] = make().id
    return start_simulation(**{**facts, **changes})


def finished(run: SimulationRun, holder: str = "a worker", clock=now) -> SimulationRun:
    """The run after one worker has taken all chunks that it could get."""
    run_simulation(operation_id=run.operation_id, holder=holder, clock=clock)
    return SimulationRun.objects.select_related("operation").get(id=run.id)


def figures(run: SimulationRun) -> dict:
    """The result without what names the run: equal for equal runs."""
    return {name: value for name, value in run.result.items() if "manifest" not in name}
