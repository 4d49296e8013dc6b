"""Admin pages: write keys are made and switched off here; a key is shown once, when it is made."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.template.response import TemplateResponse

from access.errors import WriteKeyExists
from access.models import WriteKey
from access.services import create_write_key, deactivate_write_key
from common.admin import ServiceAdmin
from common.clock import now

CHOSEN = (
    "name", "user_id_kind", "currency", "may_register", "keeps_unknown_types",
    "events_per_second", "burst",
)  # fmt: skip


class WriteKeyForm(ModelForm):  # type: ignore[type-arg]  # Django's own is generic in stubs only
    """What is chosen when a key is made."""

    class Meta:
        model = WriteKey
        fields = CHOSEN

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if WriteKey.objects.filter(name=name, is_active=True).exists():
            raise ValidationError(WriteKeyExists(name=name).title)
        return name


@admin.register(WriteKey)
class WriteKeyAdmin(ServiceAdmin):
    """Who may send events to the collector."""

    form = WriteKeyForm
    list_display = ("name", "shown", "is_active", "may_register", "created_at", "last_used_on")
    list_filter = ("is_active",)
    search_fields = ("name",)
    ordering = ("name", "-created_at")
    actions = ("deactivate",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return CHOSEN
        return ("name", "shown", "is_active", *CHOSEN[1:], "created_at", "last_used_on")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("access.add_writekey"))

    def has_deactivate_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("access.change_writekey"))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        chosen = {name: getattr(obj, name) for name in CHOSEN}
        created = create_write_key(at=now(), **chosen)
        obj.pk, obj.plain = created.write_key.pk, created.plain

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        """The key on a page of its own: a message would put it into a cookie."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"Write key of {obj.name}",
            "plain": obj.plain,
            "opts": self.model._meta,
        }
        return TemplateResponse(request, "admin/access/write_key.html", context)

    @admin.action(description="Switch the selected keys off", permissions=["deactivate"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[WriteKey]) -> None:
        for write_key in queryset:
            deactivate_write_key(write_key_id=write_key.pk)
        self.message_user(request, f"{len(queryset)} keys are off.", messages.SUCCESS)
