from django.urls import path

from twins.api.explanation import TwinExplanationView
from twins.api.fidelity import ModelFidelityView
from twins.api.history import TwinDiffView, TwinVersionsView
from twins.api.views import ModelCardView, ModelListView, ModelView, TwinView

urlpatterns = [
    path("twins/<uuid:pseudonym>/", TwinView.as_view(), name="twin"),
    path("twins/<uuid:pseudonym>/versions/", TwinVersionsView.as_view(), name="twin_versions"),
    path("twins/<uuid:pseudonym>/diff/", TwinDiffView.as_view(), name="twin_diff"),
    path(
        "twins/<uuid:pseudonym>/explanation/",
        TwinExplanationView.as_view(),
        name="twin_explanation",
    ),
    path("models/", ModelListView.as_view(), name="models"),
    path("models/<uuid:model_id>/", ModelView.as_view(), name="model"),
    path("models/<uuid:model_id>/fidelity/", ModelFidelityView.as_view(), name="model_fidelity"),
    path("models/<uuid:model_id>/card/", ModelCardView.as_view(), name="model_card"),
]
