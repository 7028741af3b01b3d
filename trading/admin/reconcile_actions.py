"""Comparing with the broker now, from the lists of differences and of the looks; after one question, by permission."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from autotrader.core.admin_kit import HistoryAdmin
from autotrader.core.errors import AutoTraderError
from broker import get_broker
from trading.admin.kit_confirm import Line, Question, chosen, confirmed
from trading.services.discrepancies import PERMISSION

COMPARE = Question(
    action="compare_now",
    title="Compare with the broker now?",
    button="Compare now",
    warning="The broker's whole book is looked at twice, since a difference counts once two answers show it. "
    "What differs is on record afterwards, and what no longer differs ends.",
)


class Comparing(HistoryAdmin):
    """History with the action that looks at the broker's book now."""

    actions: Any = ("compare_now",)

    def has_compare_permission(self, request: HttpRequest) -> bool:
        """May this person resolve differences?"""
        return request.user.has_perm(PERMISSION)

    @admin.action(description="Compare with the broker now…", permissions=["compare"])
    def compare_now(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        """Whatever is chosen, the whole account is compared."""
        found = chosen(request, rows)
        if not found:
            return None
        said = confirmed(self, request, COMPARE, [Line(row, str(row)) for row in found])
        if isinstance(said, HttpResponse):
            return said
        try:
            with get_broker(own=False) as broker:
                broker.reconcile()
                report = broker.reconcile()
        except AutoTraderError as error:
            messages.error(request, f"No complete answer, so nothing is concluded: {error.message}")
            return None
        compared = f"{report.orders} orders, {report.executions} executions, {report.positions} positions"
        messages.success(
            request, f"Compared {compared} of {report.account}; what differs is in the list of differences."
        )
        return None
