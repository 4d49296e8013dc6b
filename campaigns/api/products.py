"""Products over the API."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from campaigns.models import Product
from campaigns.selectors import product_by_sku, products
from campaigns.services import ProductFacts, store_products
from common.api.pagination import SignedCursorPagination
from common.clock import now

MOST_PRODUCTS = 5_000  # of one call
EXAMPLE = {
    "sku": "85123A",
    "name": "White hanging heart T-light holder",
    "category": "Lighting",
    "price": "2.5500",
    "unit_cost": "1.1000",
    "stock": 240,
}
EXAMPLE_OUT = {**EXAMPLE, "updated_at": "2011-11-01T09:00:00.000000Z"}
ABSENT: dict[str, Any] = {"required": False, "allow_null": True}


class ProductInput(serializers.Serializer[Any]):
    """A product as it is from now on; what is left out is not known."""

    sku = serializers.CharField(max_length=100, help_text="as the purchases name it")
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    category = serializers.CharField(max_length=100, required=False, allow_blank=True)
    price = serializers.DecimalField(
        max_digits=12, decimal_places=4, help_text="regular, of one unit", **ABSENT
    )
    unit_cost = serializers.DecimalField(max_digits=12, decimal_places=4, **ABSENT)
    stock = serializers.IntegerField(help_text="units", **ABSENT)


class ProductsInput(serializers.Serializer[Any]):
    products = serializers.ListField(
        child=ProductInput(), max_length=MOST_PRODUCTS, allow_empty=False
    )


class ProductsStored(serializers.Serializer[Any]):
    stored = serializers.IntegerField()


class ProductSerializer(serializers.ModelSerializer[Product]):
    """A product."""

    class Meta:
        model = Product
        fields = ("sku", "name", "category", "price", "unit_cost", "stock", "updated_at")


class ProductsView(APIView):
    """GET and POST /api/v1/products/"""

    required_scopes = {"GET": ("campaigns:read",), "POST": ("campaigns:write",)}
    pagination_class = SignedCursorPagination

    @extend_schema(
        operation_id="products_list",
        responses=ProductSerializer(many=True),
        filters=False,
        summary="List products, by SKU",
        tags=["products"],
    )
    def get(self, request: Request) -> Response:
        pages = SignedCursorPagination()
        pages.ordering = ("sku",)
        page = pages.paginate_queryset(products(), request, view=self)
        return pages.get_paginated_response(ProductSerializer(page, many=True).data)

    @extend_schema(
        operation_id="products_store",
        request=ProductsInput,
        responses={200: ProductsStored},
        summary=f"Store up to {MOST_PRODUCTS:,} products, known before or not; all or none",
        tags=["products"],
        examples=[
            OpenApiExample("One product", value={"products": [EXAMPLE]}, request_only=True),
            OpenApiExample("Stored", value={"stored": 1}, response_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        body = ProductsInput(data=request.data)
        body.is_valid(raise_exception=True)
        facts = [ProductFacts(**one) for one in body.validated_data["products"]]
        return Response({"stored": store_products(facts=facts, at=now())})


class ProductView(APIView):
    """GET /api/v1/products/{sku}/"""

    required_scopes = ("campaigns:read",)

    @extend_schema(
        operation_id="products_read",
        responses=ProductSerializer,
        summary="Read a product",
        tags=["products"],
        examples=[OpenApiExample("A product", value=EXAMPLE_OUT, response_only=True)],
    )
    def get(self, request: Request, sku: str) -> Response:
        return Response(ProductSerializer(product_by_sku(sku)).data)
