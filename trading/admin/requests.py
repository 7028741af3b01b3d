"""Orders that people and programs asked for directly."""

from __future__ import annotations

from django.contrib import admin

from autotrader.core.admin_kit import HistoryAdmin
from trading.models import OrderRequest


@admin.register(OrderRequest)
class OrderRequestAdmin(HistoryAdmin):
    """What was asked, and the answer."""

    list_display = ("id", "client", "kind", "state", "code", "account", "created_at")
    list_filter = ("state", "kind")
