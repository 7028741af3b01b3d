"""Orders that people and programs asked for directly: what was asked, what every control said, what came of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from autotrader.core.formats import badge, instant
from trading.admin.kit_finders import by_field, by_number, by_request_of_order, by_symbol
from trading.admin.kit_lists import BigHistoryAdmin, LedgerFilter, NewestDateFilter, NewestFilter
from trading.models import OrderRequest
from trading.selectors.requests import request_story, wish_of


@admin.register(OrderRequest)
class OrderRequestAdmin(BigHistoryAdmin):
    """What was asked, and the answer."""

    list_display = ("id", "kind", "wish", "status_badge", "code", "client", "account", "when")
    list_filter = (
        ("created_at", NewestDateFilter),
        ("state", NewestFilter),
        ("kind", NewestFilter),
        ("account", LedgerFilter),
    )
    search_help_text = "Symbol, order ref, correlation id or number"
    finders = (by_number(), by_field("correlation_id"), by_symbol(), by_request_of_order)
    list_select_related = ("account",)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = {**(extra_context or {}), "story": request_story(row) if row else None}
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description="What")
    def wish(self, row: OrderRequest) -> str:
        return wish_of(row)

    @admin.display(description="State", ordering="state")
    def status_badge(self, row: OrderRequest) -> SafeString:
        return badge(row.state)

    @admin.display(description="Asked", ordering="created_at")
    def when(self, row: OrderRequest) -> SafeString:
        return instant(row.created_at)
