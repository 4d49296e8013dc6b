"""What the routes of events look like in the OpenAPI document; nothing here runs on a request.

Fields named ``data``, ``context`` and ``source`` hide nothing: the framework takes declared fields
out of the class. The type checker cannot know, hence the suppressions.
"""

import json
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, PolymorphicProxySerializer
from rest_framework import serializers

from events.catalogue import CATALOGUE

EXAMPLE_EVENT = {
    "event_id": "7a0f3c86-8c9b-4a86-9d3c-0d6d3ac4d1f5",
    "customer": {"kind": "crm_id", "value": "17850"},
    "type": "item_purchased",
    "schema_version": 1,
    "occurred_at": "2011-05-02T12:00:00.000Z",
    "data": {
        "order_id": "536365",
        "line_no": 1,
        "sku": "85123A",
        "quantity": 6,
        "unit_price": "2.55",
        "currency": "GBP",
        "country": "GB",
    },
    "context": {"source": "webshop", "channel": "web"},
}
EXAMPLE_CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "536365-1",
    "source": "webshop",
    "type": EXAMPLE_EVENT["type"],
    "subject": "crm_id:17850",
    "time": EXAMPLE_EVENT["occurred_at"],
    "data": EXAMPLE_EVENT["data"],
}
PSEUDONYM = "0b1c2d3e-4f50-4a61-8b72-93a4b5c6d7e8"


class ContextSerializer(serializers.Serializer[Any]):
    """E-mail addresses, phone numbers and IP addresses in here are stored as a keyed digest."""

    source = serializers.CharField(required=False)  # type: ignore[assignment]  # see above
    session_id = serializers.CharField(required=False)
    channel = serializers.CharField(required=False)
    device = serializers.CharField(required=False)
    traffic_source = serializers.CharField(required=False)
    promo = serializers.CharField(required=False)
    locale = serializers.CharField(required=False)


class EventInputSerializer(serializers.Serializer[Any]):
    """An event as it is sent."""

    event_id = serializers.UUIDField(required=False)
    customer = serializers.JSONField(
        help_text='a pseudonym, or an identity such as {"kind": "crm_id", "value": "17850"}'
    )
    type = serializers.ChoiceField(choices=sorted(CATALOGUE))
    schema_version = serializers.IntegerField(required=False, default=1)
    occurred_at = serializers.DateTimeField(help_text="RFC 3339 with offset")
    data = serializers.DictField(  # type: ignore[assignment]  # see above
        help_text="the fields of this event type"
    )
    context = ContextSerializer(required=False)  # type: ignore[assignment]  # see above


class CloudEventSerializer(serializers.Serializer[Any]):
    """A CloudEvent 1.0. ``source`` and ``id`` make its event_id; extensions are left aside."""

    specversion = serializers.ChoiceField(choices=["1.0"])
    id = serializers.CharField(max_length=200)
    source = serializers.CharField(max_length=200)  # type: ignore[assignment]  # see above
    type = serializers.ChoiceField(choices=sorted(CATALOGUE))
    subject = serializers.CharField(help_text="a pseudonym, or an identity as kind:value")
    time = serializers.DateTimeField(help_text="RFC 3339 with offset")
    data = serializers.DictField(  # type: ignore[assignment]  # see above
        help_text="the fields of this event type"
    )


class StoredEventSerializer(serializers.Serializer[Any]):
    """An event as it is stored."""

    customer = serializers.UUIDField(help_text="the pseudonym")
    version = serializers.IntegerField(help_text="its number in the customer's stream")
    event_id = serializers.UUIDField()
    type = serializers.CharField()
    schema_version = serializers.IntegerField()
    occurred_at = serializers.DateTimeField()
    recorded_at = serializers.DateTimeField()
    data = serializers.DictField()  # type: ignore[assignment]  # see above
    metadata = serializers.DictField()


class AppendedEventSerializer(StoredEventSerializer):
    """The answer to a single event."""

    duplicate = serializers.BooleanField(help_text="true where it was stored before")
    consistency_token = serializers.CharField(help_text="<pseudonym>.<stream version>")


class IntakeProblemSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="place in the array, from 0")
    event_id = serializers.UUIDField(allow_null=True)
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()


class IntakeReportSerializer(serializers.Serializer[Any]):
    """The answer to an array: accepted + duplicates + quarantined + refused = received."""

    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    quarantined = serializers.IntegerField()
    refused = serializers.IntegerField()
    problems = IntakeProblemSerializer(many=True)


class FeedPageSerializer(serializers.Serializer[Any]):
    """Some events in the feed's order. ``cursor`` goes on after them and can be kept for ever."""

    next = serializers.CharField(help_text="the URL to ask next, also where nothing is new yet")
    cursor = serializers.CharField()
    epoch = serializers.IntegerField(
        help_text="another one than before: the store was restored, read single streams anew"
    )
    results = StoredEventSerializer(many=True)


ENCODING = OpenApiParameter(
    "Content-Encoding", str, OpenApiParameter.HEADER, enum=["gzip"], description="of the body"
)
REQUEST_BODIES = {
    "application/json": PolymorphicProxySerializer(
        component_name="OneEventOrMany",
        serializers=[EventInputSerializer, EventInputSerializer(many=True)],
        resource_type_field_name=None,
        many=False,
    ),
    "application/x-ndjson": OpenApiTypes.STR,
    "application/cloudevents+json": CloudEventSerializer,
    "application/cloudevents-batch+json": CloudEventSerializer(many=True),
}
EXAMPLES = [
    OpenApiExample("One event", value=EXAMPLE_EVENT, request_only=True),
    OpenApiExample("Two events", value=[EXAMPLE_EVENT, EXAMPLE_EVENT], request_only=True),
    OpenApiExample(
        "One event a line",
        value=f"{json.dumps(EXAMPLE_EVENT)}\n{json.dumps(EXAMPLE_EVENT)}\n",
        media_type="application/x-ndjson",
        request_only=True,
    ),
    OpenApiExample(
        "A CloudEvent",
        value=EXAMPLE_CLOUD_EVENT,
        media_type="application/cloudevents+json",
        request_only=True,
    ),
    OpenApiExample(
        "CloudEvents",
        value=EXAMPLE_CLOUD_EVENT,  # the framework makes it an array, as the serializer is many
        media_type="application/cloudevents-batch+json",
        request_only=True,
    ),
    OpenApiExample(
        "Stored",
        value={
            **{name: value for name, value in EXAMPLE_EVENT.items() if name != "context"},
            "customer": PSEUDONYM,
            "version": 42,
            "recorded_at": "2011-05-02T12:00:00.120Z",
            "metadata": {"source": "webshop", "channel": "web"},
            "duplicate": False,
            "consistency_token": f"{PSEUDONYM}.42",
        },
        response_only=True,
        status_codes=["200", "201"],
    ),
    OpenApiExample(
        "Some went wrong",
        value={
            "accepted": 1,
            "duplicates": 0,
            "quarantined": 1,
            "refused": 0,
            "problems": [
                {
                    "index": 1,
                    "event_id": EXAMPLE_EVENT["event_id"],
                    "status": 422,
                    "code": "price-not-positive",
                    "detail": "unit_price is zero or negative",
                }
            ],
        },
        response_only=True,
        status_codes=["207"],
    ),
]
