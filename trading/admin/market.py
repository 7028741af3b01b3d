"""Instruments and the sessions of their exchanges."""

from __future__ import annotations

from django.contrib import admin

from autotrader.core.admin_kit import DeskAdmin, HistoryAdmin
from trading.models import Instrument, Session

RESOLVED = ("con_id", "name", "tick", "lot", "time_zone", "primary_exchange", "resolved_at")


@admin.register(Instrument)
class InstrumentAdmin(DeskAdmin):
    """Contracts; what the broker says of them is filled in when they are first resolved, not by hand."""

    list_display = ("symbol", "name", "sec_type", "exchange", "currency", "con_id", "tick", "resolved_at")
    list_filter = ("sec_type", "exchange", "currency")
    search_fields = ("symbol", "name", "=con_id")
    readonly_fields = RESOLVED
    fieldsets = (
        (None, {"fields": (("symbol", "sec_type"), ("exchange", "currency"))}),
        ("As the broker resolved it", {"fields": RESOLVED}),
    )


@admin.register(Session)
class SessionAdmin(HistoryAdmin):
    """Regular sessions as they were learnt."""

    list_display = ("day", "exchange", "open", "close")
    list_filter = ("exchange",)
    date_hierarchy = "day"
