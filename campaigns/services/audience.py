"""Audiences are evaluated once and stored."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from campaigns.criteria import Criteria, TwinHead
from campaigns.errors import EmptyAudience
from campaigns.models import Audience, AudienceMember
from campaigns.population import (
    Standing,
    active_standings_locked,
    active_version,
    heads,
    moment_of,
    standings,
)
from common.canonical_json import sha256_hex

BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Who meets a filter, in ascending order, and how many do not and why."""

    members: list[UUID]
    left_out: dict[str, int]


@transaction.atomic
def create_audience(
    *, criteria: Criteria, as_of: datetime | None, created_by: str, at: datetime
) -> Audience:
    """The customers whose twins meet ``criteria`` as of ``as_of``, fixed from now on.

    ``as_of`` is the newest moment that any twin has seen where it is left out.

    Raises:
        InvalidFilter: the filter contradicts itself.
        NoActiveModel: there are no twins to filter.
        EmptyAudience: nobody is left; nothing is stored.
    """
    criteria.check()
    version = active_version()
    moment = moment_of(version, as_of)
    twins = {twin.pseudonym: twin for twin in heads(version, criteria.pseudonyms)}
    found = evaluate(criteria, twins, standings(criteria.pseudonyms), moment)
    members = sorted(active_standings_locked(found.members))
    if not members:
        considered = sum(found.left_out.values())
        raise EmptyAudience(considered=considered, left_out=in_words(found.left_out))
    audience = Audience.objects.create(
        criteria=criteria.stored(),
        evaluated_at=moment,
        model_version=version.id,
        size=len(members),
        sha256=sha256_hex([str(member) for member in members]),
        left_out=found.left_out,
        created_by=created_by,
        created_at=at,
    )
    rows = (AudienceMember(audience=audience, pseudonym=member) for member in members)
    AudienceMember.objects.bulk_create(rows, batch_size=BATCH)
    return audience


def evaluate(
    criteria: Criteria,
    twins: dict[UUID, TwinHead],
    people: dict[UUID, Standing],
    at: datetime,
) -> Evaluation:
    """Who meets ``criteria``, and for everybody else considered the first reason why not."""
    considered = people.keys() | (criteria.pseudonyms or set())
    reasons: Counter[str] = Counter()
    matching = []
    for pseudonym in considered:
        reason = _reason_against(criteria, twins.get(pseudonym), people.get(pseudonym), at)
        if reason:
            reasons[reason] += 1
        else:
            matching.append(pseudonym)
    members = criteria.sampled(matching)
    reasons["not_sampled"] = len(matching) - len(members)
    return Evaluation(members, {name: reasons[name] for name in REASONS})


# "erased" counts unknown pseudonyms of an explicit list too: of an erased person nothing is left
# that could tell the two apart.
REASONS = ("erased", "restricted", "no_twin", "seen_later", "not_matching", "not_sampled")


def in_words(left_out: dict[str, int]) -> str:
    """The counts as a sentence reads them."""
    parts = [f"{count} {name.replace('_', ' ')}" for name, count in left_out.items() if count]
    return ", ".join(parts) or "none"


def _reason_against(
    criteria: Criteria, twin: TwinHead | None, person: Standing | None, at: datetime
) -> str | None:
    if person is None or person.status == "erased":
        return "erased"
    if person.status != "active":
        return "restricted"
    if twin is None:
        return "no_twin"
    if twin.clock_at and twin.clock_at > at:
        return "seen_later"
    return None if criteria.matches(twin, person.country, at) else "not_matching"
