"""Event types of one's own, registered with a JSON Schema."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from common.admin import ReadOnlyAdmin
from common.clock import now
from events.catalogue import CATALOGUE
from events.custom_types import ANYTHING, NAME
from events.errors import InvalidCustomType
from events.models import CustomType
from events.services.custom_types import register_custom_type

EXAMPLE = {
    **ANYTHING,
    "properties": {"stars": {"type": "integer", "minimum": 1, "maximum": 5}},
    "required": ["stars"],
    "additionalProperties": False,
}


class CustomTypeForm(forms.ModelForm):  # type: ignore[type-arg]
    """A name and a schema; the service says whether they can be registered."""

    name = forms.CharField(
        max_length=60,
        widget=UnfoldAdminTextInputWidget,
        help_text="snake_case, in the past tense: order_reviewed. A name that exists gets a new "
        "schema version; events of the older ones stay as they are.",
    )
    json_schema = forms.JSONField(
        label="JSON Schema",
        initial=EXAMPLE,
        encoder=None,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 18, "class": "font-mono"}),
        help_text='What `data` has to be (2020-12, "type": "object"). E-mail addresses, phone '
        "numbers and IP addresses in its texts are stored as keyed digests in any case.",
    )

    class Meta:
        model = CustomType
        fields = ("name", "description", "json_schema")

    by: Any = ""  # who registers; set by the page

    def clean(self) -> dict[str, Any]:
        """The type is registered here, so that what the service refuses is shown at its field."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            self.instance = register_custom_type(
                name=cleaned["name"],
                json_schema=cleaned["json_schema"],
                description=cleaned.get("description") or "",
                by=str(self.by),
                at=now(),
            )
        except InvalidCustomType as error:
            of_name = not NAME.fullmatch(cleaned["name"]) or cleaned["name"] in CATALOGUE
            self.add_error("name" if of_name else "json_schema", str(error))
        return cleaned

    def _post_clean(self) -> None:
        """The service has checked and written the row; the model's own checks come too late."""

    def _save_m2m(self) -> None:
        """There are no relations."""

    def save(self, commit: bool = True) -> Any:
        self.save_m2m = self._save_m2m  # type: ignore[method-assign]  # as Django itself does
        return self.instance


@admin.register(CustomType)
class CustomTypeAdmin(ReadOnlyAdmin):
    """Each schema version of each type of one's own; a new one is added, none is changed."""

    list_display = ("name", "schema_version", "origin", "description", "created_by", "created_at")
    list_filter = ("origin",)
    search_fields = ("name",)
    ordering = ("name", "-schema_version")
    readonly_fields = ("schema", "catalogue")
    form = CustomTypeForm

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("events.add_customtype"))

    def get_fields(self, request: HttpRequest, obj: CustomType | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("name", "description", "json_schema", "catalogue")
        return (*self.list_display, "schema")

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form = super().get_form(request, *args, **kwargs)
        form.by = request.user
        return form

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Nothing to do: the service has registered it."""

    @display(description="JSON Schema")  # type: ignore[untyped-decorator]
    def schema(self, custom: CustomType) -> SafeString:
        text = json.dumps(custom.json_schema, indent=2, ensure_ascii=False)
        return format_html('<pre class="whitespace-pre-wrap">{}</pre>', text)

    @display(description="names that are taken")  # type: ignore[untyped-decorator]
    def catalogue(self, custom: CustomType | None) -> str:
        return ", ".join(sorted(CATALOGUE))
