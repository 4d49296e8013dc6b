"""Errors of the event store and of its ways in.

DtocError
  AppendOutOfOrder, ConcurrentAppend, ErasureNotOpen, EventIdConflict, StreamClosed
  UnknownEventType, UnknownSchemaVersion, UpcasterMissing
  BatchTooLarge, BodyMalformed, BodyTooLarge, ContentEncodingUnknown, CursorInvalid
  EventQuarantined, EventRefused
  ColumnsMissing, FileDamaged, FileMissing, FileUnsupported, MappingInvalid, NoMappingFits,
  UnknownMapping
  ReportDoesNotAddUp
"""

from common.errors import DtocError


class ConcurrentAppend(DtocError):
    code = "concurrent-append"
    title = "The stream has moved on"
    template = "stream {stream} is at version {version}, expected {expected}: read it again, retry"


class AppendOutOfOrder(DtocError):
    code = "append-out-of-order"
    title = "A younger transaction has appended before"
    template = (
        "stream {stream} was appended to by a younger transaction: lock the streams before the "
        "first write of a transaction, and retry"
    )


class EventIdConflict(DtocError):
    code = "event-id-conflict"
    title = "The event id belongs to another event"
    template = (
        "event {event_id} is stored in this stream with other content: send a fresh event_id for "
        "a new event; stored events are never changed"
    )


class StreamClosed(DtocError):
    code = "subject-suppressed"
    title = "The data subject was erased"
    template = "this data subject was erased: nothing about them is stored, stop sending"


class UnknownEventType(DtocError):
    code = "unknown-type"
    title = "There is no such event type"
    template = "there is no event type {type!r}, expected one of: {known}"


class UnknownSchemaVersion(DtocError):
    code = "unknown-schema-version"
    title = "There is no such schema version"
    template = "{type} has no schema version {version}, expected 1 to {newest}"


class UpcasterMissing(DtocError):
    code = "upcaster-missing"
    title = "An old schema version cannot be read"
    template = "no upcaster from version {version} of {type}: register one in events/upcasters.py"


class ErasureNotOpen(DtocError):
    code = "erasure-not-open"
    title = "There is no open erasure request"
    template = (
        "request {request_id} is not an erasure in progress for this stream: open one first; "
        "events go in no other way"
    )


class BodyMalformed(DtocError):
    code = "body-malformed"
    title = "The body cannot be read"
    template = (
        "the body cannot be read ({detail}): send one event or an array as JSON, events as NDJSON, "
        "or CloudEvents 1.0, and name its Content-Type"
    )


class BodyTooLarge(DtocError):
    code = "body-too-large"
    title = "The body is too large"
    template = "the body is larger than {limit} bytes, unpacked or as sent: send smaller batches"


class BatchTooLarge(DtocError):
    code = "batch-too-large"
    title = "Too many events in one request"
    template = "the body holds {count} events, at most {limit} are taken: send smaller batches"


class ContentEncodingUnknown(DtocError):
    code = "content-encoding-unknown"
    title = "The body is packed in a way that is not read"
    template = (
        "the Content-Encoding is {encoding!r}, expected gzip or none: pack the body with gzip"
    )


class EventQuarantined(DtocError):
    code = "event-quarantined"
    title = "The event is kept in quarantine"
    template = "{reason}: {detail}. It was put into quarantine; mend it and send it again"


class EventRefused(DtocError):
    code = "event-refused"
    title = "The event is refused"
    template = "{reason}: {detail}"


class CursorInvalid(DtocError):
    code = "cursor-invalid"
    title = "The cursor is not ours"
    template = "the cursor was changed or belongs to other filters: take it from a feed's answer"


class FileMissing(DtocError):
    code = "file-missing"
    title = "There is no such file"
    template = "{path} is {state}, expected a file: check the path"


class FileUnsupported(DtocError):
    code = "file-unsupported"
    title = "This kind of file is not read"
    template = "{path} ends in {suffix!r}, expected one of {known}: convert or rename it"


class FileDamaged(DtocError):
    code = "file-damaged"
    title = "The file cannot be read"
    template = "{path} cannot be read after {rows} rows ({detail}): get a whole copy and run again"


class ColumnsMissing(DtocError):
    code = "columns-missing"
    title = "The file has other columns than the mapping expects"
    template = "{path} lacks the columns {missing}, it has {present}: choose another mapping"


class UnknownMapping(DtocError):
    code = "unknown-mapping"
    title = "There is no such mapping"
    template = "there is no mapping {name!r}, expected one of: {known}"


class NoMappingFits(DtocError):
    code = "no-mapping-fits"
    title = "No mapping reads this file"
    template = (
        "{path} has the columns of none of the mappings {known}: describe it in a file of your own "
        "in events/mappings/"
    )


class MappingInvalid(DtocError):
    code = "mapping-invalid"
    title = "The mapping file is wrong"
    template = "mapping {name!r} cannot be used ({detail}): mend events/mappings/{name}.toml"


class ReportDoesNotAddUp(DtocError):
    code = "report-does-not-add-up"
    title = "The import lost count"
    template = "{read} rows were read but {counted} were counted: this is a fault, report it"
