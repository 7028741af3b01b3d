"""One order or one decision of the history, with everything that belongs to it, in a fixed number of queries."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from autotrader.core.audit.models import Event
from autotrader.core.errors import AutoTraderError
from autotrader.core.live.documents import event_document
from trading.models import Analysis, Fill, OrderChange, RiskVerdict
from trading.selectors import history
from trading.selectors.history_documents import (
    AnalysisDocument,
    VerdictDocument,
    decision_documents,
    order_document,
    text,
)
from trading.selectors.requests import NoSuchOrder

SHOWN_EVENTS = 200


class NoSuchDecision(AutoTraderError):
    """There is no such decision here: correct its id."""

    code = "UNKNOWN_DECISION"
    status = 404


def order_row(order_ref: str) -> dict[str, Any]:
    """The order's row of `history.orders()`, with its strategy's key. Raises NoSuchOrder."""
    found = history.orders().values(*history.ORDER_COLUMNS, "strategy_id").filter(order_ref=order_ref).first()
    if found is None:
        raise NoSuchOrder(f"There is no order {order_ref[:40]}.", details={"field": "order_ref"})
    return dict(found)


def order_story(row: dict[str, Any], *, with_events: bool) -> dict[str, Any]:
    """An `OrderStory` of that row; the newest SHOWN_EVENTS events, the oldest of them first."""
    events = Event.objects.filter(subject=f"order:{row['order_ref']}").order_by("-seq")[:SHOWN_EVENTS]
    return {
        "order": order_document(row),
        "fills": [_fill(fill) for fill in Fill.objects.filter(order=row["id"]).order_by("id")],
        "changes": [_change(change) for change in OrderChange.objects.filter(order=row["id"]).order_by("id")],
        "events": [event_document(event) for event in reversed(events)] if with_events else None,
    }


def decision_row(pk: int) -> dict[str, Any]:
    """The decision's row of `history.decisions()`, with its strategy's key. Raises NoSuchDecision."""
    found = history.decisions().values(*history.DECISION_COLUMNS, "strategy_id").filter(pk=pk).first()
    if found is None:
        raise NoSuchDecision(f"There is no decision {pk}.", details={"field": "id"})
    return dict(found)


def decision_story(row: dict[str, Any]) -> dict[str, Any]:
    """All parts of the story of that row: the decision, its analyses, verdicts and orders."""
    analyses = Analysis.objects.filter(execution=row["execution_id"]).order_by("timeframe")
    verdicts = RiskVerdict.objects.filter(decision=row["id"]).order_by("id")
    return {
        "decision": decision_documents([row])[0],
        "analyses": list(analyses.values(*_names(AnalysisDocument))),
        "verdicts": list(verdicts.values(*_names(VerdictDocument))),
        "orders": [order_document(order) for order in history.orders().filter(decision=row["id"]).order_by("id")],
    }


def _names(kind: Any) -> list[str]:
    return [field.name for field in fields(kind)]


def _fill(fill: Fill) -> dict[str, Any]:
    return {
        "exec_id": fill.exec_id,
        "side": fill.side,
        "quantity": text(fill.quantity),
        "price": text(fill.price),
        "commission": text(fill.commission),
        "realized_pnl": text(fill.realized_pnl),
        "superseded": fill.superseded,
        "trade": fill.trade_id,
        "time": fill.time,
        "at": fill.at,
    }


def _change(change: OrderChange) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "revision": change.revision,
        "state": change.state,
        "actor": change.actor,
        "reason": change.reason,
        "limit_price": text(change.limit_price),
        "stop_price": text(change.stop_price),
        "quantity": text(change.quantity),
        "created_at": change.created_at,
        "ended_at": change.ended_at,
    }
