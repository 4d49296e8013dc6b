"""How far long work is, for the progress bars of the admin."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from common.clock import now
from common.models import Operation

TEMPLATE = "admin/campaigns/progress.html"


def progress_of(operation: Operation, route: str, row_id: UUID) -> dict[str, Any]:
    """The bar's context; ``url`` is where it asks again while the work goes on, else empty."""
    share = operation.done / operation.total if operation.total else 0.0
    rate = _per_second(operation)
    left = (operation.total - operation.done) / rate if rate else None
    goes_on = not operation.is_finished
    return {
        "done": operation.done,
        "total": operation.total,
        "percent": round(100 * share, 1),
        "rate": rate,
        "seconds_left": left if goes_on else None,
        "url": reverse(route, args=[row_id]) if goes_on else "",
    }


def bar(operation: Operation, route: str, row_id: UUID) -> SafeString:
    """The bar as HTML."""
    return render_to_string(TEMPLATE, {"progress": progress_of(operation, route, row_id)})


def bar_response(operation: Operation, route: str, row_id: UUID) -> HttpResponse:
    """The bar for the page that asks again; once the work has ended, that page loads anew."""
    ended = {"HX-Refresh": "true"} if operation.is_finished else {}
    return HttpResponse(bar(operation, route, row_id), headers=ended)


def _per_second(operation: Operation) -> float | None:
    if operation.started_at is None or not operation.done:
        return None
    seconds = ((operation.finished_at or now()) - operation.started_at).total_seconds()
    return operation.done / seconds if seconds > 0 else None
