"""What the routes of quarantine take and answer."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema_field
from rest_framework import serializers

from events.models import QuarantinedEvent
from events.services.replay import Replayed, ReplayReport

PSEUDONYM = "0b1c2d3e-4f50-4a61-8b72-93a4b5c6d7e8"
EVENT_ID = "7a0f3c86-8c9b-4a86-9d3c-0d6d3ac4d1f5"
EXAMPLE_ROW = {
    "id": 17,
    "source": "webshop",
    "reason": "price_not_positive",
    "detail": "unit_price is zero or negative",
    "event_id": EVENT_ID,
    "customer": PSEUDONYM,
    "form": "native",
    "status": "waiting",
    "received_at": "2011-05-02T12:00:00.000Z",
    "expires_at": "2011-06-01T12:00:00.000Z",
    "attempts": 0,
    "last_problem": "",
    "mended_at": None,
    "mended_by": "",
    "resolved_at": None,
    "resolved_by": "",
    "stored_event_id": None,
    "stored_version": None,
    "links": {
        "self": "/api/v1/quarantine/17/",
        "replay": "/api/v1/quarantine/17/replay/",
        "mend": "/api/v1/quarantine/17/mend/",
        "discard": "/api/v1/quarantine/17/discard/",
    },
}
EXAMPLE_REPLAYED = {
    "id": 17,
    "outcome": "stored",
    "event_id": EVENT_ID,
    "customer": PSEUDONYM,
    "version": 42,
    "consistency_token": f"{PSEUDONYM}.42",
}
LARGEST_ID = 2**63 - 1


class QuarantineQuery(serializers.Serializer[Any]):
    """What may be asked of the list."""

    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=40)
    source = serializers.CharField(  # type: ignore[assignment]  # a field, taken out of the class
        required=False, allow_blank=True, default="", max_length=100
    )
    status = serializers.ChoiceField(
        required=False, allow_blank=True, default="", choices=QuarantinedEvent.Status.choices
    )


class QuarantineLinks(serializers.Serializer[Any]):
    self = serializers.CharField()
    replay = serializers.CharField()
    mend = serializers.CharField()
    discard = serializers.CharField()


class QuarantinedSerializer(serializers.ModelSerializer[QuarantinedEvent]):
    """An event in quarantine, without its body."""

    customer = serializers.UUIDField(
        source="stream", allow_null=True, help_text="whose it is, where that is known"
    )
    links = serializers.SerializerMethodField()

    class Meta:
        model = QuarantinedEvent
        fields = (
            "id", "source", "reason", "detail", "event_id", "customer", "form", "status",
            "received_at", "expires_at", "attempts", "last_problem", "mended_at", "mended_by",
            "resolved_at", "resolved_by", "stored_event_id", "stored_version", "links",
        )  # fmt: skip

    @extend_schema_field(QuarantineLinks)
    def get_links(self, row: QuarantinedEvent) -> dict[str, str]:
        steps = {name: f"quarantined-{name}" for name in ("replay", "mend", "discard")}
        links = {name: reverse(route, args=[row.id]) for name, route in steps.items()}
        return {"self": reverse("quarantined", args=[row.id]), **links}


class OpenedSerializer(QuarantinedSerializer):
    """The same with its body, where ``?body=true`` asks for it."""

    body = serializers.JSONField(
        required=False, allow_null=True, help_text="as sent or mended; null once it is destroyed"
    )

    class Meta(QuarantinedSerializer.Meta):
        fields = (*QuarantinedSerializer.Meta.fields, "body")  # type: ignore[assignment]


class MendInput(serializers.Serializer[Any]):
    """A corrected event."""

    body = serializers.JSONField(help_text="the whole event, in the form in which it was sent")
    form = serializers.ChoiceField(
        required=False,
        choices=QuarantinedEvent.Form.choices,
        help_text="where it is another form than that of the row, usually native",
    )


class BulkInput(serializers.Serializer[Any]):
    """Which of those that wait; at least one of the two."""

    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=40)
    source = serializers.CharField(  # type: ignore[assignment]  # a field, taken out of the class
        required=False, allow_blank=True, default="", max_length=100
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs["reason"] and not attrs["source"]:
            raise serializers.ValidationError("name a reason, a source, or both")
        return attrs


class ReplayedSerializer(serializers.Serializer[Any]):
    """An event that left quarantine."""

    id = serializers.IntegerField()
    outcome = serializers.ChoiceField(
        choices=["stored", "duplicate", "refused"],
        help_text="duplicate: it had been stored before; refused: the person was erased",
    )
    event_id = serializers.UUIDField(allow_null=True)
    customer = serializers.UUIDField(allow_null=True)
    version = serializers.IntegerField(allow_null=True)
    consistency_token = serializers.CharField(allow_null=True)


class BulkSerializer(serializers.Serializer[Any]):
    """What became of them: the counts add up to how many there were."""

    stored = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    waiting = serializers.IntegerField()
    refused = serializers.IntegerField()
    gone = serializers.IntegerField(help_text="resolved by somebody else meanwhile")
    problems = serializers.DictField(
        child=serializers.IntegerField(), help_text="why those that still wait do, by reason"
    )


class RejectedQuery(serializers.Serializer[Any]):
    """What may be asked of the live view."""

    source = serializers.CharField(  # type: ignore[assignment]  # a field, taken out of the class
        required=False, allow_blank=True, default="", max_length=100
    )


class RejectedSerializer(serializers.Serializer[Any]):
    """An item that did not end accepted; never its body, never who it is about."""

    at = serializers.DateTimeField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field, taken out of the class
    reason = serializers.CharField()
    detail = serializers.CharField()
    event_id = serializers.UUIDField(allow_null=True)
    index = serializers.IntegerField(help_text="place in its batch, from 0")


class LiveViewSerializer(serializers.Serializer[Any]):
    """The last hundred of each source within a day; lost where Redis is lost."""

    available = serializers.BooleanField(help_text="false while Redis cannot be asked")
    sources = serializers.ListField(child=serializers.CharField())
    results = RejectedSerializer(many=True)


def replayed_body(result: Replayed) -> dict[str, Any]:
    """One replay as the API shows it."""
    token = f"{result.stream}.{result.version}" if result.version else None
    return {
        "id": result.row_id,
        "outcome": result.outcome,
        "event_id": result.event_id,
        "customer": result.stream,
        "version": result.version or None,
        "consistency_token": token,
    }


def bulk_body(report: ReplayReport) -> dict[str, Any]:
    """Many replays as the API shows them."""
    counts = report.counts()
    return {
        "stored": counts["stored"],
        "duplicates": counts["duplicate"],
        "waiting": counts["waiting"],
        "refused": counts["refused"],
        "gone": counts["gone"],
        "problems": dict(report.problems()),
    }


MEND_EXAMPLES = [
    OpenApiExample(
        "With a price",
        request_only=True,
        value={
            "body": {
                "event_id": EVENT_ID,
                "customer": {"kind": "crm_id", "value": "17850"},
                "type": "item_purchased",
                "occurred_at": "2011-05-02T12:00:00Z",
                "data": {
                    "order_id": "536365",
                    "line_no": 1,
                    "sku": "85123A",
                    "quantity": 6,
                    "unit_price": "2.55",
                    "currency": "GBP",
                    "country": "GB",
                },
            }
        },
    ),
    OpenApiExample("Stored", value=EXAMPLE_REPLAYED, response_only=True, status_codes=["200"]),
]
