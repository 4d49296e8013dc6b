"""The nightly rebuild: twins that left out late events are folded again with them."""

import logging
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django.db import transaction

from events.services import claim_stream, mark_advanced
from twins.folding import fold
from twins.heads import read_heads, write_heads
from twins.markets import newest_market
from twins.pointer import share_pointer
from twins.rewinding import Rewind, rewound
from twins.selectors import active_model_id, loaded_model, waiting_twins
from twins.services.advance import AdvanceReport
from twins.services.park import is_of_streams

logger = logging.getLogger(__name__)

PAGE = 500


def mend_twins(*, at: datetime, after: UUID | None = None) -> Iterator[tuple[UUID, AdvanceReport]]:
    """No live twin waits any more, but those whose fold fails; yields each as it is done.

    A transaction for each, so that advancers wait for one twin at most. ``after`` goes on behind a
    twin that was yielded before.
    """
    model_id = active_model_id()
    while model_id and (page := waiting_twins(model_id, after, PAGE)):
        for pseudonym in page:
            yield pseudonym, _mended(pseudonym, at)
        after = page[-1]


def _mended(pseudonym: UUID, at: datetime) -> AdvanceReport:
    try:
        return mend_twin(pseudonym=pseudonym, at=at)
    except Exception as error:
        if not is_of_streams(error):
            raise
        logger.exception("twin waits on", extra={"pseudonym": str(pseudonym)})
        return AdvanceReport()


@transaction.atomic
def mend_twin(*, pseudonym: UUID, at: datetime) -> AdvanceReport:
    """One twin that waits is folded again, late events and all; another is left as it is."""
    share_pointer()
    model_id = active_model_id()
    claim = claim_stream(pseudonym)  # holds the stream even where nothing is unseen
    head = read_heads(model_id, [pseudonym]).get(pseudonym) if model_id else None
    if model_id is None or head is None or head.waits_since is None:
        return AdvanceReport()
    version = claim.version if claim else head.stream_version
    works = rewound(model_id, {pseudonym: Rewind(version)}).works
    folded = fold(loaded_model(model_id), works, newest_market(model_id))
    write_heads(folded, {pseudonym: head}, model_id=model_id, at=at)
    mark_advanced(versions={twin.pseudonym: twin.stream_version for twin in folded})
    return AdvanceReport(len(folded), sum(len(work.events) for work in works))
