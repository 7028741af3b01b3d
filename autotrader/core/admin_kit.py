"""What every admin page of the desk shares: the styled base, the read-only history and links between records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from autotrader.core.formats import ABSENT

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin, TabularInline

    StyledAdmin = ModelAdmin[Any]
    StyledInline = TabularInline[Any, Any]
else:
    from unfold.admin import ModelAdmin as StyledAdmin
    from unfold.admin import TabularInline as StyledInline


class DeskAdmin(StyledAdmin):
    """A page of the desk: filters in a sheet, wide lists."""

    list_per_page = 50
    list_fullwidth = True
    list_filter_sheet = True
    compressed_fields = True


class HistoryAdmin(DeskAdmin):
    """History: to be read by those who may view it, and changed by nobody here."""

    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class HistoryInline(StyledInline):
    """Rows of history on the page of what they belong to."""

    extra = 0
    max_num = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def change_url(record: Model) -> str:
    """The address of a record's admin page."""
    meta = record._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[record.pk])


def link(record: Model | None, text: object = "") -> SafeString:
    """A link to a record's admin page, or a dash where there is none."""
    if record is None:
        return SafeString(ABSENT)
    return format_html('<a class="desk-link" href="{}">{}</a>', change_url(record), text or record)
