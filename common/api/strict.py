"""Bodies whose every field is known."""

from typing import Any

from rest_framework import serializers


class KnownFieldsOnly(serializers.Serializer[Any]):
    """A field that is not known is refused, with those that are: ignored, it would be missed.

    Whoever asks for a discount on one SKU, where offers know none, must not get one on the shop.
    """

    what = "field"

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        if unknown:
            message = f"no such {self.what}; there are {', '.join(self.fields)}"
            raise serializers.ValidationError({name: [message] for name in unknown})
        return super().to_internal_value(data)
