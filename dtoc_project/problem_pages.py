"""``/problems/<slug>``: what the ``type`` of a problem document points to."""

from django.http import Http404, HttpRequest, JsonResponse

from dtoc_project.problems import STATUS_OF

GENERAL = {
    "validation-error": (400, "Some fields of the body are missing or wrong; `errors` lists them."),
    "parse-error": (400, "The body is not valid JSON."),
    "not-authenticated": (401, "The request carries no access token."),
    "authentication-failed": (401, "The access token is unknown or has expired."),
    "permission-denied": (403, "The access token lacks a scope that the route requires."),
    "not-found": (404, "There is nothing under this address."),
    "method-not-allowed": (405, "The route does not take this method."),
    "unsupported-media-type": (415, "The body must be JSON or of another listed type."),
    "throttled": (429, "Too many requests: wait as long as Retry-After says."),
    "internal-error": (500, "The server failed; report the request id."),
    "database-unavailable": (503, "The database cannot be reached; nothing was stored."),
}


def problem_page(request: HttpRequest, slug: str) -> JsonResponse:
    """Title, status and meaning of one kind of problem."""
    for error, status in STATUS_OF.items():
        if error.code == slug:
            body = {"code": slug, "status": status, "title": error.title, "detail": error.template}
            return JsonResponse(body)
    if slug in GENERAL:
        status, detail = GENERAL[slug]
        return JsonResponse({"code": slug, "status": status, "detail": detail})
    raise Http404
