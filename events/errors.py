"""Errors of the event store and of its ways in.

DtocError
  AppendOutOfOrder, ConcurrentAppend, ErasureNotOpen, EventIdConflict, StreamClosed
  InvalidCustomType, UnknownSchemaVersion, UpcasterMissing
  BatchTooLarge, BodyMalformed, BodyTooLarge, ContentEncodingUnknown, CursorInvalid
  SegmentLimitExceeded
  EventQuarantined, EventRefused, FeedRestored
  ColumnsMissing, FileDamaged, FileMissing, FileUnsupported, MappingInvalid, NoMappingFits,
  UnknownMapping
  ReportDoesNotAddUp
  ImportEnded, ImportOvertaken, ImportRunning, UnknownImport, UploadTooLarge
  ExportDamaged, ExportFolderInUse, ExportMissing
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


class InvalidCustomType(DtocError):
    code = "invalid-custom-type"
    title = "The event type cannot be registered"
    template = "the event type {name!r} {problem}"


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


class SegmentLimitExceeded(DtocError):
    code = "segment-limit-exceeded"
    title = "A limit of the collector is passed"
    template = (
        "a {what} has {actual} {unit}, at most {limit} are taken; nothing of the request was "
        "stored: send less at once"
    )


class EventQuarantined(DtocError):
    code = "event-quarantined"
    title = "The event is kept in quarantine"
    template = "{reason}: {detail}. It was put into quarantine; mend it and send it again"


class EventQuarantinedBefore(DtocError):
    code = "quarantined-before"
    title = "The event was in quarantine before"
    template = (
        "{detail}. Nothing new was stored; once the event is right, send it again under the same "
        "event_id: it is stored then and leaves quarantine"
    )


class UnknownQuarantined(DtocError):
    code = "unknown-quarantined"
    title = "There is no such event in quarantine"
    template = "there is no quarantined event {row_id}: take ids from GET /api/v1/quarantine/"


class QuarantineResolved(DtocError):
    code = "quarantine-resolved"
    title = "The quarantined event is resolved"
    template = (
        "quarantined event {row_id} is {status} and its body is destroyed, expected one that waits"
    )


class StillQuarantined(DtocError):
    code = "still-quarantined"
    title = "The event cannot be stored as it is"
    template = "{reason}: {detail}. Event {row_id} stays in quarantine: mend or discard it"


class MendInvalid(DtocError):
    code = "mend-invalid"
    title = "The mended body is not an event yet"
    template = "the mended body is not kept ({detail}): put right what errors points to"
    members = ("errors",)


class EventRefused(DtocError):
    code = "event-refused"
    title = "The event is refused"
    template = "{reason}: {detail}"


class CursorInvalid(DtocError):
    code = "cursor-invalid"
    title = "The cursor is not ours"
    template = "the cursor was changed or belongs to other filters: take it from a feed's answer"


class FeedRestored(DtocError):
    code = "feed-restored"
    title = "The store was restored; what came before this cursor may be lost"
    template = (
        "the store was restored from a copy that may lack events which you have read: what you "
        "read before the cursor in `resume_after` stands, of what you read after it only what "
        "you meet again when you go on from there; an empty one means the feed's beginning"
    )
    members = ("resume_after",)


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
        "{path} has the columns of none of the mappings {known}: describe it in a .toml file of "
        "your own (docs/importing.md)"
    )


class MappingInvalid(DtocError):
    code = "mapping-invalid"
    title = "The mapping file is wrong"
    template = "mapping {name!r} cannot be used ({detail}): mend {file}"


class ReportDoesNotAddUp(DtocError):
    code = "report-does-not-add-up"
    title = "The import lost count"
    template = "{read} rows were read but {counted} were counted: this is a fault, report it"


class ImportRunning(DtocError):
    code = "import-running"
    title = "Another process is importing this file"
    template = "{path} is being imported by another process: wait for it, or stop it and run again"


class ImportOvertaken(DtocError):
    code = "import-overtaken"
    title = "Another worker goes on with this import"
    template = (
        "import {import_id} was taken over by another worker: nothing of this chunk was stored "
        "here, leave it to the other"
    )


class ImportEnded(DtocError):
    code = "import-ended"
    title = "The import has ended"
    template = "import {import_id} has ended ({status}): what was stored before stays"


class UnknownImport(DtocError):
    code = "unknown-import"
    title = "There is no such import"
    template = "there is no import {import_id}: take the id from the answer that began it"


class UploadTooLarge(DtocError):
    code = "upload-too-large"
    title = "The file is too large"
    template = "the file is larger than {limit} bytes: pack it (gzip, Parquet) or send it in parts"


class ExportFolderInUse(DtocError):
    code = "export-folder-in-use"
    title = "The folder of the export is not empty"
    template = "{path} is {state}: name an empty folder, or replace an earlier export (--replace)"


class ExportMissing(DtocError):
    code = "export-missing"
    title = "There is no export in this folder"
    template = "{path} holds no whole export ({detail}): export again"


class ExportDamaged(DtocError):
    code = "export-damaged"
    title = "The export is not what its manifest says"
    template = "{path} is not what its manifest says ({detail}): export again"
