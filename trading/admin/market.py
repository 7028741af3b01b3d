"""Instruments and the sessions of their exchanges."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from autotrader.core.admin_kit import DeskAdmin, HistoryAdmin
from trading.models import Instrument, Session
from trading.services.instruments import instrument_save

WORDS = ("symbol", "sec_type", "exchange", "currency")
RESOLVED = ("con_id", "name", "tick", "lot", "time_zone", "primary_exchange", "resolved_at")


@admin.register(Instrument)
class InstrumentAdmin(DeskAdmin):
    """Contracts; what the broker says of them is filled in when they are first resolved, not by hand."""

    list_display = ("symbol", "name", "sec_type", "exchange", "currency", "con_id", "tick", "resolved_at")
    list_filter = ("sec_type", "exchange", "currency")
    search_fields = ("symbol", "name", "=con_id")
    fieldsets = (
        (None, {"fields": (("symbol", "sec_type"), ("exchange", "currency"))}),
        ("As the broker resolved it", {"fields": RESOLVED}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Other words would name another contract than the one the broker has resolved.
        return RESOLVED if obj is None or obj.con_id is None else (*WORDS, *RESOLVED)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # History names it: whoever is done with it takes it out of his strategies.
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        instrument_save(obj, actor=request.user.get_username())


@admin.register(Session)
class SessionAdmin(HistoryAdmin):
    """Regular sessions as they were learnt."""

    list_display = ("day", "exchange", "open", "close")
    list_filter = ("exchange",)
    date_hierarchy = "day"
