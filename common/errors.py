"""Errors of the domain.

DtocError
  ConcurrentRequest, IdempotencyKeyMissing, IdempotencyKeyReused, InvalidIdempotencyKey
  UnknownOperation, OperationFinished, OperationExpired
"""

from typing import Any, ClassVar


class DtocError(Exception):
    """What is, what was expected and what to do, with a stable code and named fields.

    A subclass sets ``code``, ``title`` and ``template``; the template is formatted with the fields.
    Which HTTP status a class answers with stands in one table, ``dtoc_project.problems``.
    """

    code: ClassVar[str]
    title: ClassVar[str]
    template: ClassVar[str]

    def __init__(self, **fields: Any) -> None:
        self.fields = fields
        super().__init__(self.template.format(**fields))

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions pickle by positional arguments; Celery sends them between processes.
        return (_restore, (type(self), self.fields))


def _restore(kind: type[DtocError], fields: dict[str, Any]) -> DtocError:
    return kind(**fields)


class IdempotencyKeyMissing(DtocError):
    code = "idempotency-key-missing"
    title = "This request needs an Idempotency-Key"
    template = (
        "the header Idempotency-Key is missing: send a fresh UUID with every new request and the "
        "same one when you repeat it"
    )


class InvalidIdempotencyKey(DtocError):
    code = "idempotency-key-invalid"
    title = "The Idempotency-Key is malformed"
    template = "the Idempotency-Key has {length} characters, expected 16 to 128: send a UUID"


class IdempotencyKeyReused(DtocError):
    code = "idempotency-key-reused"
    title = "The Idempotency-Key belongs to another request"
    template = (
        "the Idempotency-Key {key} was used for another body or path: send a fresh key for a new "
        "request"
    )


class ConcurrentRequest(DtocError):
    code = "request-in-progress"
    title = "The first request with this Idempotency-Key is still running"
    template = "a request with the Idempotency-Key {key} is still running: retry in a second"


class UnknownOperation(DtocError):
    code = "unknown-operation"
    title = "There is no such operation"
    template = "there is no operation {operation_id}: take the id from the Location header"


class OperationFinished(DtocError):
    code = "operation-finished"
    title = "The operation has ended"
    template = "operation {operation_id} is {status} and cannot be cancelled"


class OperationExpired(DtocError):
    code = "operation-expired"
    title = "The operation has expired"
    template = "operation {operation_id} has expired: start a new one"
