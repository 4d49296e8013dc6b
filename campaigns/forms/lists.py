"""Fields into which people type several values."""

import re
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

SHOWN = 40  # characters of a value that is quoted in a message
MOST_VALUES = 200_000
NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,3})?")
WHOLE_NUMBER = re.compile(r"-?\d{1,9}")


class ListField(forms.CharField):
    """Values separated by commas, spaces or new lines; nothing typed is None."""

    expected = ""

    def to_python(self, value: Any) -> Any:
        parts = str(value or "").replace(",", " ").replace(";", " ").split()
        if len(parts) > MOST_VALUES:
            message = f"these are {len(parts)} values, expected at most {MOST_VALUES}"
            raise ValidationError(message, code="too_many")
        return [self._read(part) for part in parts] or None

    def validate(self, value: Any) -> None:
        if self.required and value is None:
            raise ValidationError(self.error_messages["required"], code="required")

    def run_validators(self, value: Any) -> None:
        """Each value has been read; there are no validators of texts."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(str(initial or "") != str(data or ""))

    def _read(self, part: str) -> Any:
        try:
            return self.read(part)
        except ValueError:
            message = f"{part[:SHOWN]} is not {self.expected}"
            raise ValidationError(message, code="invalid") from None

    def read(self, part: str) -> Any:
        """One value.

        Raises:
            ValueError: the text is none.
        """
        return part


class NumbersField(ListField):
    """Numbers with up to three decimals."""

    expected = "a number with up to three decimals: write for example 0, 10, 12.5"
    widget = UnfoldAdminTextInputWidget

    def read(self, part: str) -> Decimal:
        if not NUMBER.fullmatch(part):
            raise ValueError(part)
        return Decimal(part)


class WholeNumbersField(ListField):
    """Whole numbers."""

    expected = "a whole number: write for example 0, 7, 14"
    widget = UnfoldAdminTextInputWidget

    def read(self, part: str) -> int:
        if not WHOLE_NUMBER.fullmatch(part):
            raise ValueError(part)
        return int(part)


class CountriesField(ListField):
    """Countries by their two letters."""

    expected = "a country code of two letters: write for example GB, DE"
    widget = UnfoldAdminTextInputWidget

    def read(self, part: str) -> str:
        if len(part) != 2 or not (part.isascii() and part.isalpha()):
            raise ValueError(part)
        return part.upper()


class PseudonymsField(ListField):
    """Pseudonyms, one in a line."""

    expected = "a pseudonym: paste one UUID in a line"
    widget = UnfoldAdminTextareaWidget

    def read(self, part: str) -> UUID:
        return UUID(part)
