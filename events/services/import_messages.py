"""Messages of a collector that come in a file: what each says, and whose identities it links."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import msgspec
import pyarrow as pa

from common.clock import now
from customers.selectors import resolve_identities
from customers.services import link_identities
from events.files.nested import WHOLE
from events.mapping import Messages
from events.segment.convert import Converted, Settings, convert
from events.segment.messages import MESSAGE, UNREADABLE, Message, Received
from events.services.collect import ENDED, NOBODY
from events.services.intake import Policy


class MessageReader:
    """Reads each line as the collector would; its ``timestamp`` is taken as it stands.

    The clocks of sender and receiver were compared when the message came in, if ever: here they
    can be compared no more.
    """

    def __init__(self, mapping: Messages) -> None:
        self.settings = Settings(mapping.source, mapping.user_id_kind, mapping.currency)

    def told(self, table: pa.Table) -> list[Converted]:
        """What each line says, in their order."""
        at = now()
        return [
            convert(_received(line, at), self.settings) for line in table.column(WHOLE).to_pylist()
        ]


def link(told: Sequence[Converted], policy: Policy) -> Counter[tuple[str, str]]:
    """Identities that messages name together are linked; counts those that do nothing else.

    Runs in the caller's transaction, before its first write.
    """
    renamed = resolve_identities({one.renamed for one in told if one.renamed}).known
    links = [
        (
            n,
            replace(one.link, other=one.renamed, renames=True)
            if one.renamed in renamed
            else one.link,
        )
        for n, one in enumerate(told)
        if one.link is not None
    ]
    since = min([policy.at, *(told[n].occurred_at for n, _ in links)])
    ended = link_identities(
        links=[link for _, link in links], at=since, may_register=policy.may_register
    )
    ends = {n: ENDED[how] for (n, _), how in zip(links, ended, strict=True)}
    counts: Counter[tuple[str, str]] = Counter()
    counts.update(ends.get(n, NOBODY) for n, one in enumerate(told) if one.only_links)
    return counts


def _received(line: str, at: datetime) -> Received:
    raw = line.encode()
    try:
        message: Message | None = MESSAGE.decode(raw)
    except UNREADABLE:
        message = None
    if message is not None:
        own = message.timestamp or message.original_timestamp
        message = msgspec.structs.replace(
            message, timestamp=own, original_timestamp=own, sent_at=None
        )
    return Received(raw, message, at)
