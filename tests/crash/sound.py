"""A world in which everything is as promised, made of rows by the services, for tests that break one thing of it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from autotrader.core import audit
from autotrader.core.audit.models import AuditHead
from autotrader.core.clock import system_now
from broker.models import Submission
from tests.crash.harness.world import Frame, World, rows
from tests.trading.builders import bought
from trading.models import Approval, ApprovalVote, Discrepancy, Fill, Order, RiskVerdict, WorkflowExecution
from trading.services.executions import execution_end

START = Decimal(100_000)


def text(value: Decimal | None) -> str:
    """As ib_insync writes a number that may be unset."""
    return "" if value is None else f"{value.normalize():f}"


def recorded(order: Order) -> None:
    """What the owner keeps before a frame leaves."""
    terms = {
        name: None if getattr(order, name) is None else str(getattr(order, name))
        for name in ("side", "quantity", "order_type", "limit_price", "stop_price")
    }
    Submission.objects.create(
        order_ref=order.order_ref, revision=0, account=order.account_id, role=order.role, state="SENT",
        terms=json.dumps(terms), intent_hash=order.intent_hash, created_at=system_now(),
    )  # fmt: skip


def framed(order: Order, **changes: str) -> Frame:
    """The frame of an order, with some of its fields changed."""
    terms = {
        "order_ref": order.order_ref, "action": order.side, "quantity": text(order.quantity),
        "order_type": order.order_type, "limit_price": text(order.limit_price), "aux_price": text(order.stop_price),
    }  # fmt: skip
    return Frame("placeOrder", system_now(), 1, order.pk, terms | changes)


def at_broker(order: Order, **changes: Any) -> dict[str, Any]:
    """The order as the gateway's ledger has it."""
    left = order.quantity - order.filled_quantity
    return {
        "client_id": 1, "order_id": order.pk, "order_ref": order.order_ref, "con_id": order.instrument.con_id,
        "action": order.side, "order_type": order.order_type, "filled": str(order.filled_quantity),
        "status": "Submitted" if left else "Filled", "remaining": str(left),
    } | changes  # fmt: skip


def executed(fill: Fill, **changes: str) -> dict[str, str]:
    """The execution as the gateway's ledger has it."""
    told = {"shares": str(fill.quantity), "price": str(fill.price), "order_ref": fill.order.order_ref}
    return told | changes


def truth_of(orders: list[Order]) -> dict[str, Any]:
    """A gateway's ledger that agrees with our rows."""
    fills = list(Fill.objects.filter(order__in=orders, superseded=False))
    held = sum((fill.quantity for fill in fills), Decimal(0))
    paid = sum((fill.quantity * fill.price + (fill.commission or 0) for fill in fills), Decimal(0))
    return {
        "account": orders[0].account_id,
        "orders": {str(order.perm_id): at_broker(order) for order in orders},
        "executions": {fill.exec_id: executed(fill) for fill in fills},
        "positions": {str(orders[0].instrument.con_id): {"quantity": str(held)}},
        "cash": {"USD": str(START - paid)},
    }


@pytest.fixture
def orders() -> list[Order]:
    """A bracket whose entry has filled, as the whole path would have left it."""
    made = bought()
    entry = made[0]
    assert entry.decision is not None
    RiskVerdict.objects.create(decision=entry.decision, rule="size", allowed=True, message="", at=system_now())
    for order in made:
        recorded(order)
    with audit.recording():
        execution_end(WorkflowExecution.objects.get(), outcome="ordered", reason="")
    return made


@pytest.fixture
def sound(orders: list[Order]) -> World:
    """A world in which everything is as promised."""
    return World(
        truth=truth_of(orders),
        frames=[framed(order) for order in orders],
        cash_start=START,
        seen=list(range(1, AuditHead.objects.get().seq + 1)),
        before=rows(),
        provider_calls=0,
    )


def shown(order: Order) -> dict[str, Any]:
    """What a person who approves the order is shown of it."""
    names = ("side", "quantity", "order_type", "limit_price", "stop_price")
    leg = {name: None if getattr(order, name) is None else str(getattr(order, name)) for name in names}
    return {"legs": [leg]}


def approved(entry: Order) -> Approval:
    """One person was asked, and said yes."""
    now = system_now()
    told: dict[str, Any] = {
        "account": entry.account, "instrument": entry.instrument, "order": entry, "decision": entry.decision,
        "digest": entry.intent_hash, "terms": shown(entry), "state": "USED", "cause": "mode", "needed": 1,
        "value": 1000,
        "quantity": entry.quantity, "price": 100, "requested_by": "s", "requested_at": now, "market_at": now,
        "expires_at": now,
    }  # fmt: skip
    approval = Approval.objects.create(**told)
    user = get_user_model().objects.create_user("a")
    ApprovalVote.objects.create(approval=approval, user=user, approve=True, digest=approval.digest, at=now)
    return approval


def discrepancy(order: Order, kind: str) -> None:
    now = system_now()
    Discrepancy.objects.create(
        account=order.account, kind=kind, subject=f"order:{order.order_ref}", order=order, instrument=order.instrument,
        detail="told", first_seen_at=now, last_seen_at=now, market_at=now,
    )  # fmt: skip
