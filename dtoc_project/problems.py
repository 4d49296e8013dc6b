"""From errors to HTTP: the one table of statuses, and the exception handler of the API."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as framework_handler
from rest_framework.views import set_rollback

from access import errors as access_errors
from access.errors import ClientExists, UnknownScope
from campaigns import errors as campaigns_errors
from campaigns.decisions import errors as decision_errors
from common import errors as common_errors
from common.api.problems import plain_problem_response, problem_response, validation_errors
from common.errors import DtocError
from customers import errors as customer_errors
from events import errors as event_errors
from twins import errors as twin_errors

# Every subclass of DtocError stands here; a test finds the ones that do not.
STATUS_OF: dict[type[DtocError], int] = {
    common_errors.IdempotencyKeyMissing: 400,
    common_errors.InvalidIdempotencyKey: 400,
    common_errors.IdempotencyKeyReused: 422,
    common_errors.ConcurrentRequest: 409,
    common_errors.UnknownOperation: 404,
    common_errors.OperationFinished: 409,
    common_errors.OperationExpired: 410,
    ClientExists: 409,
    UnknownScope: 400,
    access_errors.WriteKeyExists: 409,
    access_errors.InvalidWriteKey: 422,
    access_errors.WriteKeyMissing: 401,
    access_errors.WriteKeyUnknown: 401,
    access_errors.WriteKeysDisagree: 401,
    access_errors.WriteKeyInactive: 404,
    access_errors.TooManyEvents: 429,
    campaigns_errors.UnknownCampaign: 404,
    campaigns_errors.UnknownProduct: 404,
    campaigns_errors.UnknownAudience: 404,
    campaigns_errors.UnknownSimulation: 404,
    campaigns_errors.InvalidCampaign: 422,
    campaigns_errors.InvalidProduct: 422,
    campaigns_errors.InvalidFilter: 422,
    campaigns_errors.EmptyAudience: 422,
    campaigns_errors.InvalidSimulation: 422,
    campaigns_errors.GridTooLarge: 422,
    campaigns_errors.NotRepeatable: 409,
    campaigns_errors.InvalidComparison: 422,
    campaigns_errors.NotComparable: 422,
    campaigns_errors.UnknownLaunch: 404,
    campaigns_errors.InvalidLaunch: 422,
    campaigns_errors.SimulationNotFinished: 409,
    campaigns_errors.LaunchOverlaps: 409,
    campaigns_errors.LaunchNotRunning: 409,
    campaigns_errors.SettledTooEarly: 409,
    decision_errors.UnknownLiveOffer: 404,
    decision_errors.InvalidLiveOffer: 422,
    decision_errors.UnknownDecision: 404,
    decision_errors.CustomerRestricted: 403,
    decision_errors.NothingToReport: 409,
    decision_errors.AlreadyReported: 409,
    decision_errors.InvalidReport: 422,
    customer_errors.UnknownCustomer: 404,
    customer_errors.UnknownIdentity: 404,
    customer_errors.InvalidIdentity: 400,
    customer_errors.IdentitySuppressed: 403,
    customer_errors.IdentityOfAnother: 409,
    customer_errors.RequestAlreadyOpen: 409,
    customer_errors.UnknownRequest: 404,
    customer_errors.NotOfThisRequest: 400,
    # The service is up and its keys are not: nothing that the client could change.
    customer_errors.VaultError: 503,
    customer_errors.KeyFileExposed: 503,
    customer_errors.KeyFileDamaged: 503,
    customer_errors.KeyFileMissing: 503,
    customer_errors.WrongKey: 503,
    customer_errors.SealBroken: 503,
    event_errors.ConcurrentAppend: 409,
    event_errors.AppendOutOfOrder: 409,
    event_errors.EventIdConflict: 409,
    event_errors.StreamClosed: 403,
    event_errors.InvalidCustomType: 422,
    event_errors.UnknownSchemaVersion: 422,
    event_errors.UpcasterMissing: 500,
    event_errors.ErasureNotOpen: 409,
    event_errors.BatchTooLarge: 413,
    event_errors.BodyMalformed: 400,
    event_errors.BodyTooLarge: 413,
    event_errors.ContentEncodingUnknown: 415,
    event_errors.CursorInvalid: 400,
    event_errors.SegmentLimitExceeded: 400,
    event_errors.EventQuarantined: 422,
    event_errors.EventRefused: 422,
    event_errors.EventQuarantinedBefore: 422,
    event_errors.UnknownQuarantined: 404,
    event_errors.QuarantineResolved: 409,
    event_errors.StillQuarantined: 422,
    event_errors.MendInvalid: 422,
    event_errors.FeedRestored: 410,
    event_errors.FileUnsupported: 415,
    event_errors.FileDamaged: 422,
    event_errors.ColumnsMissing: 422,
    event_errors.UnknownMapping: 422,
    event_errors.NoMappingFits: 422,
    event_errors.UnknownImport: 404,
    event_errors.UploadTooLarge: 413,
    event_errors.ImportEnded: 409,
    # Of the command line and of workers; no route raises them.
    event_errors.FileMissing: 500,
    event_errors.MappingInvalid: 500,
    event_errors.ReportDoesNotAddUp: 500,
    event_errors.ImportRunning: 409,
    event_errors.ImportOvertaken: 409,
    event_errors.ExportFolderInUse: 500,
    event_errors.ExportMissing: 500,
    event_errors.ExportDamaged: 500,
    twin_errors.NoActiveModel: 404,
    twin_errors.TwinNotAdvanced: 404,
    twin_errors.UnknownModelVersion: 404,
    twin_errors.ModelArtefactBroken: 503,
    twin_errors.ModelNotBetter: 409,
    twin_errors.ModelAlreadyActive: 409,
    twin_errors.TooLittleHistory: 422,
    twin_errors.InvalidTrainingWindow: 422,
    twin_errors.InvalidTrainingOption: 422,
    twin_errors.TrainingInProgress: 409,
    twin_errors.AsOfBeforeTwin: 400,
    twin_errors.TwinVersionNotKept: 404,
    twin_errors.FoldNotFinite: 500,  # of workers; such a stream is parked
}

RETRY_SECONDS = "2"
# A server that is still a replica, a session that the idle guard has ended.
PASSING = ("25006", "25P03")
DATABASE_AWAY: dict[str, Any] = {
    "slug": "database-unavailable",
    "title": "The database cannot be reached",
    "status": 503,
    "detail": f"nothing was stored: send the request again in {RETRY_SECONDS} seconds",
}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Every error of the API as a problem document; None lets an unexpected one become a 500."""
    request = context["request"]
    if isinstance(error, DtocError):
        set_rollback()
        return _domain_problem(error, request)
    if is_database_away(error):
        return _database_away(request)
    if isinstance(error, exceptions.ValidationError):
        set_rollback()
        return _invalid(error, request)
    response = framework_handler(error, context)
    if response is None:
        return None
    known = problem_response(
        slug=_slug(error),
        title=_title(response.status_code),
        status=response.status_code,
        detail=_detail(error),
        request=request,
    )
    for name in ("WWW-Authenticate", "Retry-After", "Allow"):
        if name in response:
            known[name] = response[name]
    return known


def _domain_problem(error: DtocError, request: Any) -> Response:
    return problem_response(
        slug=error.code,
        title=error.title,
        status=STATUS_OF[type(error)],
        detail=str(error),
        request=request,
        **{name: error.fields[name] for name in getattr(error, "members", ())},
    )


def is_database_away(error: Exception) -> bool:
    """The same request may well succeed in a moment: nothing is wrong with it."""
    if isinstance(error, InternalError):
        return getattr(error.__cause__, "pgcode", "") in PASSING
    return isinstance(error, OperationalError | InterfaceError)


def _database_away(request: Any) -> Response:
    response = problem_response(request=request, **DATABASE_AWAY)
    response["Retry-After"] = RETRY_SECONDS
    return response


def plain_database_away(request: HttpRequest) -> JsonResponse:
    """The same where no view of the framework is involved: tokens, metrics, the admin."""
    response = plain_problem_response(request, **DATABASE_AWAY)
    response["Retry-After"] = RETRY_SECONDS
    return response


def _invalid(error: exceptions.ValidationError, request: Any) -> Response:
    return problem_response(
        slug="validation-error",
        title="The request is not valid",
        status=400,
        detail="some fields are missing or wrong: see errors",
        request=request,
        errors=list(validation_errors(error.detail)),
    )


def _slug(error: Exception) -> str:
    if isinstance(error, Http404 | exceptions.NotFound):
        return "not-found"
    if isinstance(error, PermissionDenied):
        return "permission-denied"
    code = getattr(error, "default_code", "error")
    return str(code).replace("_", "-")


def _title(status: int) -> str:
    titles = {
        400: "The request is malformed",
        401: "No valid access token",
        403: "Not allowed",
        404: "There is nothing here",
        405: "This route does not take that method",
        406: "The answer is only available as JSON",
        413: "The request is too large",
        415: "The body is of a type that this route does not take",
        429: "Too many requests",
    }
    return titles.get(status, "The request failed")


def _detail(error: Exception) -> str:
    if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        return (
            "send `Authorization: Bearer TOKEN` with a token from POST /oauth/token/ "
            "(grant_type=client_credentials); tokens live for an hour"
        )
    return str(getattr(error, "detail", "") or error or "the request failed")
