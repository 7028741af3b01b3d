"""Whether a desk has settled: nothing in between, and the same executions on both sides."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from trading.models import Discrepancy, Dispatch, Fill, Order, OrderChange, OrderRequest, WorkflowExecution

BETWEEN = ("DRAFT", "APPROVED", "SENDING", "SUBMITTED", "UNKNOWN")
OVER = frozenset({"Filled", "Cancelled", "ApiCancelled", "Inactive"})
ENDED = ("DONE", "FAILED")


def open_work() -> dict[str, Any]:
    """What is not settled yet, by kind. What a person has been handed counts as settled."""
    handed = Discrepancy.objects.filter(state="OPEN")
    orders = Order.objects.filter(state__in=BETWEEN)
    changes = OrderChange.objects.filter(state__in=("SENDING", "UNKNOWN"))
    known = set(handed.filter(kind__in=("unknown_order", "cancel")).values_list("order_id", flat=True))
    found: dict[str, Any] = {
        "executions": list(WorkflowExecution.objects.exclude(state__in=ENDED).values_list("pk", "state")),
        "dispatches": list(Dispatch.objects.exclude(state__in=ENDED).values_list("pk", "state", "reason")),
        "requests": list(OrderRequest.objects.filter(state="RECEIVED").values_list("pk", "state")),
        "orders": [(row.order_ref, row.state) for row in orders if row.pk not in known],
        "changes": [(row.pk, row.state) for row in changes if row.state == "SENDING" or row.order_id not in known],
    }
    return {name: rows for name, rows in found.items() if rows}


def differences(truth: dict[str, Any]) -> dict[str, Any]:
    """Where our fills and working orders differ from the gateway's; empty where they agree."""
    theirs = {exec_id for exec_id, row in truth["executions"].items() if Decimal(row["shares"])}
    booked = Fill.objects.filter(superseded=False).exclude(quantity=0)
    costs = dict(booked.values_list("exec_id", "commission"))
    if theirs != costs.keys():
        return {
            "executions": {"only theirs": sorted(theirs - costs.keys()), "only ours": sorted(costs.keys() - theirs)}
        }
    unknown = sorted(exec_id for exec_id, cost in costs.items() if cost is None)
    if unknown:
        return {"without commission": unknown}
    working = Order.objects.filter(state__in=("ACCEPTED", "PARTIALLY_FILLED"), perm_id__isnull=False)
    ended = {int(perm_id) for perm_id, row in truth["orders"].items() if row["status"] in OVER}
    gone = [ref for ref, perm_id in working.values_list("order_ref", "perm_id") if perm_id in ended]
    return {"ended there": gone} if gone else {}
