"""Retrying: parked streams are folded again, each alone in a transaction of its own."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from events.services import claim_stream
from twins.models import ParkedStream
from twins.pointer import share_pointer
from twins.selectors import active_model_id
from twins.services.advance import AdvanceReport, fold_apart, fold_claims

STREAMS_PER_RUN = 100


def retry_parked(*, at: datetime, limit: int = STREAMS_PER_RUN) -> AdvanceReport:
    """The parked streams that are due have been tried again, the longest due first."""
    due = ParkedStream.objects.filter(next_try_at__lte=at, model_version_id=active_model_id())
    report = AdvanceReport()
    for pseudonym in list(due.order_by("next_try_at").values_list("pseudonym", flat=True)[:limit]):
        report += retry_stream(pseudonym=pseudonym, at=at)
    return report


@transaction.atomic
def retry_stream(*, pseudonym: UUID, at: datetime, now: bool = False) -> AdvanceReport:
    """One parked stream of the active model is folded and free again, or stays parked for longer.

    Nothing is done before it is due unless ``now``; two at once try it once, because the second
    finds that it is free, or not due any more.
    """
    share_pointer()
    model_id = active_model_id()
    if model_id is None:
        return AdvanceReport()
    claim = claim_stream(pseudonym)
    parked = ParkedStream.objects.filter(pseudonym=pseudonym, model_version_id=model_id)
    if not (parked if now else parked.filter(next_try_at__lte=at)).exists():
        return AdvanceReport()
    report = fold_claims(model_id, [claim], at, fold_apart) if claim else AdvanceReport()
    if not report.parked:
        parked.delete()
    return report
