from django.urls import path

from events.api.imports import ImportCancelView, ImportsView, ImportView
from events.api.quarantine import (
    QuarantinedDiscardView,
    QuarantinedMendView,
    QuarantinedReplayView,
    QuarantinedView,
    QuarantineReplayView,
    QuarantineView,
    RejectedView,
)
from events.api.views import CustomerEventsView, EventsView

urlpatterns = [
    path("events/", EventsView.as_view(), name="events"),  # first: most requests are for it
    path("imports/", ImportsView.as_view(), name="imports"),
    path("imports/<uuid:import_id>/", ImportView.as_view(), name="import"),
    path("imports/<uuid:import_id>/cancel/", ImportCancelView.as_view(), name="import-cancel"),
    path(
        "customers/<uuid:pseudonym>/events/", CustomerEventsView.as_view(), name="customer-events"
    ),
    path("events/rejected/", RejectedView.as_view(), name="events-rejected"),
    path("quarantine/", QuarantineView.as_view(), name="quarantine"),
    path("quarantine/replay/", QuarantineReplayView.as_view(), name="quarantine-replay"),
    path("quarantine/<int:row_id>/", QuarantinedView.as_view(), name="quarantined"),
    path(
        "quarantine/<int:row_id>/replay/",
        QuarantinedReplayView.as_view(),
        name="quarantined-replay",
    ),
    path("quarantine/<int:row_id>/mend/", QuarantinedMendView.as_view(), name="quarantined-mend"),
    path(
        "quarantine/<int:row_id>/discard/",
        QuarantinedDiscardView.as_view(),
        name="quarantined-discard",
    ),
]
