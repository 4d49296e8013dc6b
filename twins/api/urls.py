from django.urls import path

from twins.api.history import TwinDiffView, TwinVersionsView
from twins.api.views import ModelListView, ModelView, TwinView

urlpatterns = [
    path("twins/<uuid:pseudonym>/", TwinView.as_view(), name="twin"),
    path("twins/<uuid:pseudonym>/versions/", TwinVersionsView.as_view(), name="twin_versions"),
    path("twins/<uuid:pseudonym>/diff/", TwinDiffView.as_view(), name="twin_diff"),
    path("models/", ModelListView.as_view(), name="models"),
    path("models/<uuid:model_id>/", ModelView.as_view(), name="model"),
]
