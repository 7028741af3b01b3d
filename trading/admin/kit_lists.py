"""The lists of the desk's history: those that stay fast at a million rows, and the filter by ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest

from autotrader.core.admin_filters import NewestDateFilter as NewestDateFilter
from autotrader.core.admin_filters import NewestFilter as NewestFilter
from autotrader.core.admin_lists import BigHistoryAdmin as UnfoldHistoryAdmin
from trading.admin.kit_table import TableList
from trading.models.account import AccountKind

if TYPE_CHECKING:
    RelatedFilter = admin.RelatedFieldListFilter
else:
    from django.contrib.admin import RelatedFieldListFilter as RelatedFilter

DateFilter = admin.DateFieldListFilter
SHOWN_REPLAYS = 20


class BigHistoryAdmin(UnfoldHistoryAdmin):
    """History of any length, in a table that draws its own rows."""

    actions: Any = UnfoldHistoryAdmin.actions

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return TableList


class LedgerFilter(RelatedFilter):
    """By account; of the replays only the newest, since each makes a ledger of its own."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        ledgers = field.related_model._default_manager.exclude(kind=AccountKind.REPLAY).order_by("pk")
        replays = field.related_model._default_manager.filter(kind=AccountKind.REPLAY).order_by("-created_at")
        return [(row.pk, str(row)) for row in [*ledgers[:200], *replays[:SHOWN_REPLAYS]]]
