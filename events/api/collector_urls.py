from django.urls import path

from events.api.collector import NoSuchRouteView, view_of
from events.segment import ROUTES

# Each with and without a slash at its end: a redirect would cost an SDK its body.
urlpatterns = [
    *(path(step, view_of(kind, documented=step == kind)) for step, kind in ROUTES.items()),
    *(path(f"{step}/", view_of(kind, documented=False)) for step, kind in ROUTES.items()),
    path("<path:rest>", NoSuchRouteView.as_view()),
]
