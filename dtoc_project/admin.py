"""Admin pages of tables that no app of ours owns, and of long work."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django_celery_results.models import GroupResult, TaskResult
from oauth2_provider.models import (
    get_access_token_model,
    get_grant_model,
    get_id_token_model,
    get_refresh_token_model,
)
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from access.models import ApiClient
from common.admin import ReadOnlyAdmin, ServiceAdmin
from common.clock import now
from common.models import Operation, OutboxMessage
from common.operations import cancel_operation

STATUS_COLOURS = {
    "queued": "info", "running": "info", "succeeded": "success", "SUCCESS": "success",
    "failed": "danger", "FAILURE": "danger", "cancelled": "warning", "expired": "warning",
}  # fmt: skip

for model in (
    User,
    Group,
    TaskResult,
    GroupResult,
    ApiClient,
    get_access_token_model(),
    get_grant_model(),
    get_id_token_model(),
    get_refresh_token_model(),
):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg,misc]
    """People who may sign in here."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    """Roles."""


@admin.register(ApiClient)
class ApiClientAdmin(ReadOnlyAdmin):
    """Machines that may call the API; made with ``manage.py create_client``."""

    list_display = ("name", "client_id", "allowed_scopes", "created")
    fields = ("name", "client_id", "allowed_scopes", "created", "updated")


@admin.register(TaskResult)
class TaskResultAdmin(ReadOnlyAdmin):
    """What Celery's workers did in the last day."""

    list_display = ("task_name", "shown_status", "worker", "date_created", "seconds")
    list_filter = ("status", "task_name")
    ordering = ("-id",)
    fields = (
        "task_name", "status", "worker", "date_created", "date_started", "date_done",
        "task_kwargs", "result", "traceback",
    )  # fmt: skip

    @display(description="status", label=STATUS_COLOURS)  # type: ignore[untyped-decorator]
    def shown_status(self, task: TaskResult) -> str:
        return str(task.status)

    @display(description="seconds")  # type: ignore[untyped-decorator]
    def seconds(self, task: Any) -> str:
        begun = task.date_started or task.date_created
        return f"{(task.date_done - begun).total_seconds():.2f}" if task.date_done else ""


@admin.register(Operation)
class OperationAdmin(ServiceAdmin):
    """Long work: how far it is, and a way to stop it."""

    list_display = ("kind", "id", "shown_status", "progress", "requested_by", "created_at")
    list_filter = ("kind", "status")
    ordering = ("-created_at",)
    actions = ("cancel",)

    @display(description="status", label=STATUS_COLOURS)  # type: ignore[untyped-decorator]
    def shown_status(self, operation: Operation) -> str:
        return operation.status

    @display(description="progress")  # type: ignore[untyped-decorator]
    def progress(self, operation: Operation) -> str:
        share = operation.done / operation.total if operation.total else 0
        return f"{operation.done:,} of {operation.total:,} {operation.unit} ({share:.0%})"

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("common.change_operation"))

    @admin.action(description="Cancel the selected work", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: Any) -> None:
        for operation in queryset:
            if not operation.is_finished:
                cancel_operation(operation_id=operation.id, at=now())


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    """What others are to be told; who is told, and how, comes with the webhooks."""

    list_display = ("created_at", "type", "id", "state")
    list_filter = ("state", "type")
    ordering = ("-created_at", "-id")
    fields = ("id", "type", "state", "created_at", "body")
