"""Reading imports: one, the recent ones, and those that a worker should go on with."""

from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from common.models import WorkChunk
from common.operations import UNFINISHED
from events.errors import UnknownImport
from events.models_imports import Import


def imports() -> QuerySet[Import]:
    """All imports with their operations."""
    return Import.objects.select_related("operation")


def recent_imports(count: int) -> list[Import]:
    """The newest first."""
    return list(imports().order_by("-created_at", "-id")[:count])


def import_by_id(import_id: UUID) -> Import:
    """One import.

    Raises:
        UnknownImport: there is none of that id.
    """
    try:
        return imports().get(id=import_id)
    except Import.DoesNotExist:
        raise UnknownImport(import_id=import_id) from None


def waiting_imports(at: datetime) -> list[UUID]:
    """Uploads that nobody is working on, the oldest first."""
    free = Q(state=WorkChunk.State.QUEUED) | Q(state=WorkChunk.State.LEASED, lease_until__lt=at)
    operations = WorkChunk.objects.filter(free).values("operation_id")
    found = Import.objects.exclude(upload="").filter(
        operation__status__in=UNFINISHED, operation_id__in=operations
    )
    return list(found.order_by("created_at").values_list("id", flat=True))


def uploads_in_use() -> list[Import]:
    """Imports whose uploaded file is still there."""
    return list(imports().exclude(upload="").order_by("created_at"))
