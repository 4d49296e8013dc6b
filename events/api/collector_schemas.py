"""What the collector's routes look like in the OpenAPI document; nothing here runs on a request."""

from typing import Any

from rest_framework import serializers

MESSAGE: dict[str, Any] = {
    "type": "object",
    "description": "One message of Segment's specification.",
    "properties": {
        "writeKey": {"type": "string"},
        "type": {"type": "string"},
        "messageId": {"type": "string", "maxLength": 100},
        "userId": {"type": "string"},
        "anonymousId": {"type": "string"},
        "previousId": {"type": "string"},
        "groupId": {"type": "string"},
        "event": {"type": "string"},
        "properties": {"type": "object", "additionalProperties": True},
        "traits": {"type": "object", "additionalProperties": True},
        "context": {"type": "object", "additionalProperties": True},
        "timestamp": {"type": "string", "format": "date-time"},
        "originalTimestamp": {"type": "string", "format": "date-time"},
        "sentAt": {"type": "string", "format": "date-time"},
    },
    "additionalProperties": True,
}
BATCH: dict[str, Any] = {
    "type": "object",
    "required": ["batch"],
    "properties": {
        "batch": {"type": "array", "maxItems": 2500, "items": MESSAGE},
        "writeKey": {"type": "string"},
        "sentAt": {"type": "string", "format": "date-time"},
        "context": {"type": "object", "additionalProperties": True},
        "integrations": {"type": "object", "additionalProperties": True},
    },
}


class CollectedSerializer(serializers.Serializer[Any]):
    """How the messages ended; an order of several products counts once for each of them."""

    success = serializers.BooleanField()
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    quarantined = serializers.IntegerField()
    refused = serializers.IntegerField()
