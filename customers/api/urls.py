from django.urls import path

from customers.api.views import (
    CustomerLookupView,
    CustomersView,
    CustomerView,
    ErasuresView,
    ErasureView,
)

urlpatterns = [
    path("customers/", CustomersView.as_view(), name="customers"),
    path("customers/lookup/", CustomerLookupView.as_view(), name="customer-lookup"),
    path("customers/<uuid:pseudonym>/", CustomerView.as_view(), name="customer"),
    path("erasures/", ErasuresView.as_view(), name="erasures"),
    path("erasures/<uuid:request_id>/", ErasureView.as_view(), name="erasure"),
]
