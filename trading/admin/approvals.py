"""Approvals, the votes on them and the work they become."""

from __future__ import annotations

from django.contrib import admin

from autotrader.core.admin_kit import HistoryAdmin
from trading.models import Approval, ApprovalVote, Dispatch


@admin.register(Approval)
class ApprovalAdmin(HistoryAdmin):
    """Orders that wait for a person, and what became of those that did."""

    list_display = ("id", "state", "account", "instrument", "quantity", "value", "expires_at", "requested_by")
    list_filter = ("state",)


@admin.register(ApprovalVote)
class ApprovalVoteAdmin(HistoryAdmin):
    """Who said what, when."""

    list_display = ("approval", "user", "approve", "at")
    list_filter = ("approve",)


@admin.register(Dispatch)
class DispatchAdmin(HistoryAdmin):
    """Orders on their way to the broker."""

    list_display = ("id", "state", "lane", "worker", "outcome", "created_at")
    list_filter = ("state",)
