"""A form of the admin behind which a service writes, and the page that shows such a form."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from common.admin import ServiceAdmin
from common.errors import DtocError

NEWEST_SHOWN = 200


class ServiceForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's own is generic in stubs only
    """The row is written while the form is checked: what the service refuses stands at its field.

    ``FIELD_OF`` names our field where the service has another name for it.
    """

    FIELD_OF: ClassVar[dict[str, str]] = {}
    by: Any = ""  # who asks; set by the page

    def write(self, values: dict[str, Any]) -> Model:
        """The new row.

        Raises:
            DtocError: the service refuses.
        """
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                self.instance = self.write(cleaned)
            except DtocError as error:
                self.add_error(self._field_of(error), str(error))
        return cleaned

    def _field_of(self, error: DtocError) -> str | None:
        named = str(error.fields.get("field", ""))
        ours = self.FIELD_OF.get(named, named)
        return ours if ours in self.fields else None

    def _post_clean(self) -> None:
        """The service has checked and written the row; the model's own checks come too late."""

    def _save_m2m(self) -> None:
        """There are no relations."""

    def save(self, commit: bool = True) -> Any:
        self.save_m2m = self._save_m2m  # type: ignore[method-assign]  # as Django itself does
        return self.instance


class ServiceFormAdmin(ServiceAdmin):
    """Rows as in :class:`ServiceAdmin`; new ones through a :class:`ServiceForm`."""

    may_add = ""  # the permission that it takes
    intro = ""  # what the form is for
    change_form_before_template = "admin/campaigns/intro.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(self.may_add))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Of a new row the form's own fields, in its order."""
        return list(self.form.base_fields) if obj is None else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else super().get_readonly_fields(request, obj)

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        if obj is not None:  # is shown, never changed
            return super().get_form(request, obj, form=forms.ModelForm, **kwargs)
        form = super().get_form(request, obj, **kwargs)
        form.by = request.user
        return form

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        one_button = {"show_save_and_add_another": False, "show_save_and_continue": False}
        context = {"intro": self.intro, **(extra_context or {}), **one_button}
        page: HttpResponse = super().add_view(request, form_url, context)
        return page

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Nothing to do: the service has written it."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        """The page of the new row."""
        self.message_user(request, f"Saved: {obj}")
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", obj.pk)


def newest(rows: QuerySet[Any], chosen: Any) -> QuerySet[Any]:
    """The newest rows, which a list to choose from has room for, and the chosen one."""
    ids = list(rows.order_by("-created_at", "-id").values_list("id", flat=True)[:NEWEST_SHOWN])
    try:
        known = rows.filter(id=chosen).values_list("id", flat=True) if chosen else []
        ids += list(known)
    except (ValidationError, ValueError):  # no id at all: the field says so
        pass
    return rows.filter(id__in=ids).order_by("-created_at", "-id")


def share(per_cent: Any) -> Any:
    """Per cent as people type them, as the share that services take."""
    return None if per_cent is None else per_cent / 100
