from django.urls import path

from twins.api.views import ModelListView, ModelView, TwinView

urlpatterns = [
    path("twins/<uuid:pseudonym>/", TwinView.as_view(), name="twin"),
    path("models/", ModelListView.as_view(), name="models"),
    path("models/<uuid:model_id>/", ModelView.as_view(), name="model"),
]
