"""Write the intent, then let the broker's owner send it once; on resuming, look it up and send nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings

from autotrader.core.ops.crashpoints import crashpoint
from broker import gates, types
from broker.errors import BrokerUnavailable, OrderError, TradingDisabled
from broker.port import TABLE
from trading.models import Decision, Order, OrderChange
from trading.models.decision import Purpose
from trading.models.order import OrderState, Role
from trading.models.strategy import Mode
from trading.selectors.orders import live_entry, orders_of, working_legs
from trading.services.decisions import decision_refuse
from trading.services.orders import NoRoomLeft, Plan, cancel_request_write, change_write, entry_write, exit_write
from trading.services.shadow import shadow_exit, shadow_place
from trading.workflow.context import StepContext, StepResult
from trading.workflow.steps.validate_risk import look

NEEDS: tuple[str, ...] = ("validate_risk",)
LONGEST_WAIT_S = 20


@dataclass(frozen=True, slots=True)
class Parameters:
    """`wait_s`: how long to wait for the broker's first word; the order's life goes on without this step."""

    wait_s: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.wait_s <= LONGEST_WAIT_S:
            raise ValueError(f"wait_s must lie between 0 and {LONGEST_WAIT_S} seconds, well within a lease")


def run(context: StepContext) -> StepResult:
    """Output: the orders' references and what became of them so far."""
    decision = Decision.objects.select_related("instrument", "strategy__risk_profile", "account").get(
        pk=context.outputs["decide"]["decision"]
    )
    if context.cycle.dry_run:
        return StepResult({"orders": []}, stop="dry_run", reason="dry run: stopped before the order row")
    written = orders_of(decision) or _changed(decision)
    if written:
        return _report(context, written, "found again: nothing is sent a second time")
    try:
        return _new(context, decision)
    except (TradingDisabled, NoRoomLeft) as error:
        return _refused(decision, error.reason, error.message)


def _changed(decision: Decision) -> list[Order]:
    return [change.order for change in OrderChange.objects.filter(decision=decision).select_related("order")]


def _refused(decision: Decision, code: str, message: str) -> StepResult:
    def write() -> dict[str, Any]:
        decision_refuse(decision, code, message)
        return {}

    return StepResult({"orders": [], "refused": code}, write=write, stop="refused", reason=f"{code}: {message}")


def _new(context: StepContext, decision: Decision) -> StepResult:
    plan = _plan(context, decision)
    if decision.strategy.mode == Mode.SHADOW:
        return _shadow(context, decision, plan)
    if not settings.ORDERS_ENABLED:
        return _simulate(context, decision, plan)
    gates.check_send(
        reduces=decision.purpose == Purpose.EXIT, account=decision.account_id, status=context.broker.status()
    )
    context.lease(TABLE["place"].timeout)
    if decision.purpose == Purpose.ENTRY:
        orders = entry_write(context.execution, decision, plan)
        return _report(context, orders, _send(context, orders, reduces=False))
    return _exit(context, decision, plan)


def _plan(context: StepContext, decision: Decision) -> Plan:
    sized = context.outputs["validate_risk"]
    ends = context.outputs["check_session"].get("expires_at")
    profile = decision.strategy.risk_profile
    assert decision.limit_price is not None
    assert decision.quantity is not None
    return Plan(
        side="BUY" if decision.type == "buy" else "SELL",
        quantity=decision.quantity,
        limit_price=decision.limit_price,
        stop_price=decision.stop_price,
        target_price=decision.target_price,
        expires_at=datetime.fromisoformat(ends) if ends else None,
        market_now=context.market_now,
        configuration={
            "gates": gates.snapshot(decision.account_id),
            "risk_profile": {"name": profile.name, "version": profile.version},
            "verdicts": {row.rule: row.values for row in decision.verdicts.all()},
            "equity": sized["equity"],
        },
    )


def _send(context: StepContext, orders: list[Order], *, reduces: bool, oca_ref: str = "") -> str:
    """One call; whatever it answers or fails with, the rows are told by evidence alone."""
    first = orders[0]
    assert first.instrument.con_id is not None
    assert first.sending_at is not None
    request = types.PlaceOrder(
        account=first.account_id,
        con_id=first.instrument.con_id,
        legs=tuple(_leg(order, oca_ref) for order in orders),
        reduces=reduces,
        # Counted from the commit: a process that slept since then must not send prices of that time.
        deadline=first.sending_at + timedelta(seconds=TABLE["place"].timeout),
        intent_hash=first.intent_hash,
    )
    return _tell(lambda: context.broker.place(request))


def _leg(order: Order, oca_ref: str) -> types.OrderLeg:
    return types.OrderLeg(
        order_ref=order.order_ref,
        role=order.role,  # type: ignore[arg-type]
        side=order.side,  # type: ignore[arg-type]
        quantity=order.quantity,
        order_type=order.order_type,  # type: ignore[arg-type]
        tif=order.tif,  # type: ignore[arg-type]
        limit_price=order.limit_price,
        stop_price=order.stop_price,
        parent_ref=order.parent.order_ref if order.parent else "",
        oca_ref=oca_ref,
    )


def _tell(call: Callable[[], object]) -> str:
    """Make the call; what it says of a failure, for people. Sent or not is told by the owner's evidence alone."""
    crashpoint("intent_committed")
    try:
        call()
    except (BrokerUnavailable, OrderError) as error:
        return f"{error.reason}: {error.message}"
    finally:
        crashpoint("place_answered")
    return ""


def _exit(context: StepContext, decision: Decision, plan: Plan) -> StepResult:
    """Move the live targets to the market, so that the stops stand until the exit has filled; else an exit order."""
    ledger = (decision.account, decision.strategy, decision.instrument)
    entry = live_entry(*ledger)
    if entry is not None:
        return _end_entry_first(context, decision, entry, plan)
    targets = working_legs(*ledger, Role.TARGET)
    if targets and sum(_open(leg) for leg in targets) == plan.quantity:
        notes = [_move_to_market(context, decision, leg, plan) for leg in targets]
        return _report(context, targets, "; ".join(["exit: the target was moved to the market", *filter(None, notes)]))
    stops = working_legs(*ledger, Role.STOP)
    order = exit_write(context.execution, decision, plan)
    oca_ref = stops[0].order_ref if stops else ""
    return _report(context, [order], _send(context, [order], reduces=True, oca_ref=oca_ref))


def _end_entry_first(context: StepContext, decision: Decision, entry: Order, plan: Plan) -> StepResult:
    """An entry that still fills would outlive the exit and its own protection: it ends first, the exit comes after."""
    cancel_request_write(context.execution, entry, plan.market_now)
    note = _tell(lambda: context.broker.cancel(types.OrderRef(entry.account_id, entry.order_ref)))
    message = f"its entry {entry.order_ref} still works and was cancelled first"
    return _refused(decision, "ENTRY_WORKING", f"{message} ({note})" if note else message)


def _open(leg: Order) -> Decimal:
    """What may still fill; a child of a partly filled entry works for less than it was written for."""
    left: Decimal = (leg.broker_quantity or leg.quantity) - leg.filled_quantity
    return left


def _move_to_market(context: StepContext, decision: Decision, target: Order, plan: Plan) -> str:
    change = change_write(context.execution, decision, target, replace(plan, quantity=_open(target)))
    request = types.ModifyOrder(
        account=target.account_id,
        order_ref=target.order_ref,
        revision=change.revision,
        limit_price=plan.limit_price,
        stop_price=None,
        reduces=True,
        deadline=change.created_at + timedelta(seconds=TABLE["modify"].timeout),
    )
    return _tell(lambda: context.broker.modify(request))


def _simulate(context: StepContext, decision: Decision, plan: Plan) -> StepResult:
    if decision.purpose == Purpose.ENTRY:
        orders = entry_write(context.execution, decision, plan, state=OrderState.SIMULATED)
    else:
        orders = [exit_write(context.execution, decision, plan, state=OrderState.SIMULATED)]
    return StepResult(_output(orders), stop="simulated", reason="ORDERS_ENABLED=false: nothing was sent")


def _shadow(context: StepContext, decision: Decision, plan: Plan) -> StepResult:
    quote = look(context).quote
    if quote is None:
        return _refused(decision, "NO_QUOTE", "no quote to fill the shadow order on")
    if decision.purpose == Purpose.ENTRY:
        orders = entry_write(context.execution, decision, plan)
        shadow_place(context.execution, orders, quote)
    else:
        orders = [exit_write(context.execution, decision, plan)]
        shadow_exit(context.execution, orders[0], quote)
    return StepResult(_output(orders), stop="shadow", reason="filled in the shadow ledger")


def _report(context: StepContext, orders: list[Order], note: str) -> StepResult:
    """Wait a little for the owner's evidence, then say what is known."""
    until = time.monotonic() + context.spec.parameters.wait_s
    while time.monotonic() < until and _waiting(orders[0]):
        time.sleep(0.02)
    output = _output(orders) | {"note": note}
    return StepResult(output, stop="ordered", reason=note or f"{output['orders'][0]['state']}")


def _waiting(order: Order) -> bool:
    order.refresh_from_db(fields=["state"])
    changing = OrderChange.objects.filter(order=order, state="SENDING").exists()
    return changing or order.state in (OrderState.SENDING, OrderState.SUBMITTED)


def _output(orders: list[Order]) -> dict[str, Any]:
    for order in orders:
        order.refresh_from_db()
    return {"orders": [{"order_ref": order.order_ref, "role": order.role, "state": order.state} for order in orders]}
