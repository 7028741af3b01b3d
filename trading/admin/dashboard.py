"""The index: how the machine is, then the desk at a glance, from our own history."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from autotrader.core.clock import system_now
from broker.gates import HaltState, halt_reading
from trading.admin.console import machine
from trading.admin.kit_results import result_told
from trading.selectors.approvals import waiting_count
from trading.selectors.discrepancies import open_count
from trading.selectors.overview import overview
from trading.selectors.trade_costs import results_of
from trading.services.halts import HALT_PERMISSION, RELEASE_PERMISSION

VIEW_PERMISSION = "trading.view_decision"


def index_context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the index shows; people who may not see decisions get the Halt state and the list of pages."""
    halt, now = halt_reading(), system_now()
    sees = request.user.has_perm(VIEW_PERMISSION)
    seen = overview(now) if sees else None
    return {
        **context,
        "title": "Desk",
        "halt": halt,
        "simulated": not settings.ORDERS_ENABLED,
        "may_halt": request.user.has_perm(HALT_PERMISSION),
        "may_release": request.user.has_perm(RELEASE_PERMISSION) and halt.state is not HaltState.ACTIVE,
        "machine": machine(request, now) if sees else None,
        "waiting": waiting_count() if sees else None,
        "discrepancies": open_count() if sees else None,
        "overview": seen,
        "trades": [(row.trade, result_told(row)) for row in results_of(seen.trades)] if seen else [],
    }
