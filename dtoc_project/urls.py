"""Where everything is."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerView
from oauth2_provider.views import IntrospectTokenView, RevokeTokenView, TokenView

from dtoc_project.health import livez, readyz
from dtoc_project.metrics import metrics
from dtoc_project.problem_pages import problem_page

oauth = (
    [
        path("token/", TokenView.as_view(), name="token"),
        path("revoke_token/", RevokeTokenView.as_view(), name="revoke-token"),
        path("introspect/", IntrospectTokenView.as_view(), name="introspect"),
    ],
    "oauth2_provider",
)

urlpatterns = [
    path("api/v1/", include("events.api.urls")),  # first: most requests are for these
    path("", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("oauth/", include(oauth)),
    path("api/v1/", include("common.api.urls")),
    path("api/v1/", include("customers.api.urls")),
    path("api/v1/", include("twins.api.urls")),
    path("api/v1/", include("campaigns.api.urls")),
    path("v1/", include("events.api.collector_urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/reference/", SpectacularRedocView.as_view(url_name="schema"), name="reference"),
    path("problems/<slug:slug>", problem_page, name="problem"),
    path("livez", livez),
    path("readyz", readyz),
    path("metrics", metrics),
]
