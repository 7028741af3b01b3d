"""Write the intent, then let the broker's owner send it once; on resuming, look it up and send nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from autotrader.core.clock import system_now
from autotrader.core.ops.crashpoints import crashpoint
from broker import gates, types
from broker.errors import BrokerUnavailable, OrderError, TradingDisabled
from broker.port import TABLE
from trading.models import Decision, Order, OrderChange
from trading.models.decision import Purpose
from trading.models.order import OrderState, Role
from trading.models.strategy import Mode
from trading.selectors.orders import orders_of, working_leg
from trading.services.decisions import decision_refuse
from trading.services.orders import NoRoomLeft, Plan, change_write, entry_write, exit_write
from trading.services.shadow import shadow_exit, shadow_place
from trading.workflow.context import StepContext, StepResult
from trading.workflow.steps.validate_risk import look

NEEDS: tuple[str, ...] = ("validate_risk",)


@dataclass(frozen=True, slots=True)
class Parameters:
    """`wait_s`: how long to wait for the broker's first word; the order's life goes on without this step."""

    wait_s: int = 5


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
        _send(context, orders, plan, reduces=False)
        return _report(context, orders, "")
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


def _send(context: StepContext, orders: list[Order], plan: Plan, *, reduces: bool, oca_ref: str = "") -> None:
    """One call; whatever it answers or fails with, the rows are told by evidence alone."""
    con_id = orders[0].instrument.con_id
    assert con_id is not None
    request = types.PlaceOrder(
        account=orders[0].account_id,
        con_id=con_id,
        legs=tuple(_leg(order, oca_ref) for order in orders),
        reduces=reduces,
        deadline=system_now() + timedelta(seconds=TABLE["place"].timeout),
        intent_hash=orders[0].intent_hash,
    )
    _tell(lambda: context.broker.place(request))


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


def _tell(call: Any) -> None:
    crashpoint("intent_committed")
    try:
        call()
    except (BrokerUnavailable, OrderError):
        # Sent or not is not ours to say: the owner's evidence or its reconcile settles the rows.
        return
    finally:
        crashpoint("place_answered")


def _exit(context: StepContext, decision: Decision, plan: Plan) -> StepResult:
    """Move the live target to the market, so that the stop stands until the exit has filled; else an exit order."""
    target = working_leg(decision.account, decision.strategy, decision.instrument, Role.TARGET)
    if target is not None and target.quantity - target.filled_quantity == plan.quantity:
        change = change_write(context.execution, decision, target, plan)
        request = types.ModifyOrder(
            account=target.account_id,
            order_ref=target.order_ref,
            revision=change.revision,
            limit_price=plan.limit_price,
            stop_price=None,
            reduces=True,
            deadline=system_now() + timedelta(seconds=TABLE["modify"].timeout),
        )
        _tell(lambda: context.broker.modify(request))
        return _report(context, [target], "exit: the target leg was moved to the market")
    stop = working_leg(decision.account, decision.strategy, decision.instrument, Role.STOP)
    order = exit_write(context.execution, decision, plan)
    _send(context, [order], plan, reduces=True, oca_ref=stop.order_ref if stop else "")
    return _report(context, [order], "")


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
