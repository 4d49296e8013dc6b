"""The next best action over HTTP, 20 requests a second, whoever has answered by then or not.

Requests are sent at fixed moments (open loop) by a process of its own; a latency counts from the
moment at which the request was due, so a server that falls behind shows it. One client that waits
for each answer tells how many a second there could be. The limit does the bare work in one process:
SELECT of the customer, the consent, the contacts and the twin by psycopg2, the same arithmetic on
the twin, INSERT and commit of such a decision.
"""

import http.client
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from benchmarks.advancing import prepare
from benchmarks.clients import race
from benchmarks.ingesting import Server, web_server
from benchmarks.latency import advanced_twins
from benchmarks.open_loop import posted
from benchmarks.result import Result, Round, from_rounds

if TYPE_CHECKING:
    from campaigns.models import Decision

CUSTOMERS = 300
OFFERS = 5
RATE = 20.0  # requests a second
SECONDS = 60
ALONE = 200  # requests of a round, one after another
PATH = "/api/v1/decisions/"
SCOPES = "decisions:make"


def run(folder: Path, rounds: int) -> Result:
    """Decisions a second of one client, and the latencies at 20 requests a second."""
    prepare(folder, CUSTOMERS)
    pseudonyms = advanced_twins(CUSTOMERS)
    _agreed(pseudonyms)
    _opened()
    with web_server(folder, SCOPES) as server:
        ask, bare = _client(server), _bare(pseudonyms[0])
        for number in range(80):  # every process of the server has met the route
            ask(pseudonyms[number % len(pseudonyms)])
        found = [_round(ask, bare, pseudonyms) for _ in range(rounds)]
        latencies = _at_a_rate(server, folder, pseudonyms)
    told = from_rounds(
        name="decide",
        unit="decisions/s",
        limit_is="bare reads, arithmetic and INSERT",
        rounds=found,
        latencies_ms=latencies,
    )
    facts = {
        "largest ms": max(latencies),
        "at requests/s": RATE,
        "for s": SECONDS,
        "offers made, share": _made(),
    }
    return replace(told, facts=facts)


def _agreed(pseudonyms: Sequence[UUID]) -> None:
    """Everybody agrees to marketing."""
    from common.clock import now
    from events.catalogue import ConsentGranted
    from events.services import NewEvent, append_batch

    events = [
        NewEvent(
            stream=pseudonym,
            event_id=uuid4(),
            type=ConsentGranted.type,
            schema_version=ConsentGranted.schema_version,
            occurred_at=now(),
            data=ConsentGranted(purpose="marketing"),
        )
        for pseudonym in pseudonyms
    ]
    append_batch(events=events, at=now())


def _opened() -> None:
    """Some offers are open: of other depths, for other lengths of time, one for two products."""
    from campaigns.services import Economics, create_campaign, open_live_offer
    from common.clock import now

    at = now()
    for number in range(OFFERS):
        campaign = create_campaign(
            name=f"offer {number}",
            offer_days=7 + 7 * (number % 2),
            currency="GBP",
            created_by="bench",
            at=at,
            economics=Economics(margin_rate=Decimal("0.6"), contact_cost=Decimal("0.01")),
        )
        open_live_offer(
            campaign_id=campaign.id,
            depth=Decimal(number + 1) / 20,
            ends_at=at + timedelta(days=1),
            response={"mean": 4.0, "spread": 0.5},
            skus=["S00001", "S00002"] if number == 0 else [],
            opened_by="bench",
            at=at,
        )


def _round(
    ask: Callable[[UUID], None], bare: Callable[[UUID], None], pseudonyms: Sequence[UUID]
) -> Round:
    asked = [pseudonyms[number % len(pseudonyms)] for number in range(ALONE)]
    return Round(_speed(ask, asked), _speed(bare, asked))


def _speed(act: Callable[[UUID], None], asked: Sequence[UUID]) -> float:
    begun = time.perf_counter()
    for pseudonym in asked:
        act(pseudonym)
    return len(asked) / (time.perf_counter() - begun)


def _client(server: Server) -> Callable[[UUID], None]:
    connection = http.client.HTTPConnection(server.address, timeout=60)

    def ask(pseudonym: UUID) -> None:
        posted(connection, server.token, PATH, _body(pseudonym))

    return ask


def _at_a_rate(server: Server, folder: Path, pseudonyms: Sequence[UUID]) -> list[float]:
    """The latencies of requests that a process of its own sends at fixed moments."""
    count = round(RATE * SECONDS)
    file = folder / "decisions"
    bodies = [_body(pseudonyms[number % len(pseudonyms)]) for number in range(count)]
    file.write_bytes(b"\n".join(bodies))
    client = [sys.executable, "-m", "benchmarks.open_loop", server.address, server.token]
    return race([[*client, PATH, str(file), str(RATE)]]).latencies_ms


def _body(pseudonym: UUID) -> bytes:
    return json.dumps({"pseudonym": str(pseudonym), "channel": "web"}).encode()


def _made() -> float:
    """The share of the decisions that made an offer, or held one back."""
    from campaigns.models import Decision

    return Decision.objects.exclude(arm="").count() / Decision.objects.count()


READS = (
    "SELECT status FROM customers_customer WHERE pseudonym = %s FOR NO KEY UPDATE",
    "SELECT type, data FROM events_event WHERE stream = %s "
    "AND type IN ('consent_granted', 'consent_withdrawn', 'unsubscribed')",
    "SELECT count(*) FROM campaigns_exposure WHERE pseudonym = %s",
    "SELECT * FROM campaigns_liveoffer WHERE closed_at IS NULL AND %s IS NOT NULL",
    "SELECT forecast::text, (memory->>'clock_ms')::bigint FROM twins_twin WHERE pseudonym = %s",
)


def _bare(pseudonym: UUID) -> Callable[[UUID], None]:
    """What a decision costs without HTTP, rules, words and checks."""
    from django.db import connection, transaction

    from campaigns.decisions.scoring import Scorer
    from campaigns.models import Decision
    from ml.incremental import OrderCurve

    weighed = _weighed(pseudonym)
    stored: Decision = Decision.objects.order_by("decided_at").first() or _stored(pseudonym)

    def bare(one: UUID) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            for statement in READS:
                cursor.execute(statement, [one])
                found = cursor.fetchall()
            ((forecast, clock_ms),) = found
            as_of_ms = round(time.time() * 1000)
            curve = OrderCurve(json.loads(forecast), clock_ms=clock_ms, as_of_ms=as_of_ms)
            scorer = Scorer(curve, weighed)
            for offer, basket in weighed:
                scorer.score(offer, basket)
            stored.pk = uuid4()
            stored.save(force_insert=True)

    return bare


def _weighed(pseudonym: UUID) -> list[Any]:
    from django.db import transaction

    from campaigns.decisions.look import look
    from campaigns.decisions.shelf import Basket
    from common.clock import now

    with transaction.atomic():
        offers = look(pseudonym, now()).offers
    return [(offer, Basket(1.0, 0.4, 0.4)) for offer in offers]


def _stored(pseudonym: UUID) -> "Decision":
    from campaigns.decisions.rules import Ask
    from campaigns.services import decide
    from common.clock import now

    return decide(ask=Ask(pseudonym=pseudonym), asked_by="bench", at=now())
