"""What customers and erasures look like over the API."""

from typing import Any

from rest_framework import serializers

from customers.identities import KIND, LONGEST
from customers.models import Customer, DataSubjectRequest


class IdentityInput(serializers.Serializer[Any]):
    """What the outside world calls a person; never part of a URL."""

    kind = serializers.RegexField(
        rf"^{KIND.pattern}$", help_text="crm_id, email, phone or another name of yours"
    )
    value = serializers.CharField(max_length=LONGEST)


class CustomerInput(IdentityInput):
    country = serializers.RegexField(
        r"^([A-Z]{2})?$", required=False, allow_blank=True, help_text="ISO 3166-1 alpha-2"
    )


class CustomerOutput(serializers.ModelSerializer[Customer]):
    class Meta:
        model = Customer
        fields = ("pseudonym", "country", "status", "registered_at")


class ErasureInput(serializers.Serializer[Any]):
    """Whom to erase: exactly one of the two."""

    pseudonym = serializers.UUIDField(required=False)
    identity = IdentityInput(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError("name either the pseudonym or one identity")
        return attrs


class ErasureStepOutput(serializers.Serializer[Any]):
    name = serializers.CharField()
    done_at = serializers.CharField(help_text="ISO 8601")


class FindingOutput(serializers.Serializer[Any]):
    """Something that the last scan still found."""

    place = serializers.CharField(help_text="table and column, Redis database, file or store")
    what = serializers.ChoiceField(choices=["pseudonym", "identity value", "digest"])
    count = serializers.IntegerField()


class ReceiptOutput(serializers.Serializer[Any]):
    """The signature is Ed25519 over the canonical JSON (sorted keys, no spaces) of the body."""

    body = serializers.DictField()
    algorithm = serializers.CharField()
    public_key = serializers.CharField(help_text="PEM")
    signature = serializers.CharField(help_text="base64")


class ErasureOutput(serializers.ModelSerializer[DataSubjectRequest]):
    """An erasure; it never names the person, so that no kept answer does."""

    steps = ErasureStepOutput(many=True)
    findings = FindingOutput(many=True)
    receipt = ReceiptOutput(allow_null=True)

    class Meta:
        model = DataSubjectRequest
        fields = (
            "id", "right", "status", "requested_at", "due_at", "completed_at", "steps", "findings",
            "receipt",
        )  # fmt: skip
