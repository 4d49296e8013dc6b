from django.urls import path

from common.api.views import OperationCancelView, OperationView

urlpatterns = [
    path("operations/<uuid:operation_id>/", OperationView.as_view(), name="operation"),
    path(
        "operations/<uuid:operation_id>/cancel/",
        OperationCancelView.as_view(),
        name="operation-cancel",
    ),
]
