"""Differences between the broker and us."""

from __future__ import annotations

from django.contrib import admin

from autotrader.core.admin_kit import HistoryAdmin
from trading.models import Discrepancy


@admin.register(Discrepancy)
class DiscrepancyAdmin(HistoryAdmin):
    """What differs, since when, and who resolved it."""

    list_display = ("kind", "subject", "account", "state", "blocking", "ours", "theirs", "last_seen_at")
    list_filter = ("state", "kind", "blocking")
