from django.urls import path

from events.api.views import CustomerEventsView, EventsView

urlpatterns = [
    path("events/", EventsView.as_view(), name="events"),
    path(
        "customers/<uuid:pseudonym>/events/", CustomerEventsView.as_view(), name="customer-events"
    ),
]
