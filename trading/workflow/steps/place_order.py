"""Write the intent, then let the broker's owner send it once; on resuming, look it up and send nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from autotrader.core.errors import AutoTraderError
from broker import gates
from broker.errors import TradingDisabled
from broker.port import TABLE
from trading.models import Approval, Decision, Order, OrderChange
from trading.models.account import AccountKind
from trading.models.decision import Purpose
from trading.models.order import OrderState
from trading.selectors.approvals import approval_of, rows_of
from trading.selectors.orders import orders_of
from trading.services.approvals import Needed, approval_needed, approval_request, what_if
from trading.services.decisions import decision_refuse
from trading.services.intents import Intent, NoRoomLeft
from trading.services.orders import entry_write, exit_write
from trading.services.sending import await_word, exit_send, orders_report, place
from trading.services.shadow import shadow_exit, shadow_place
from trading.workflow.context import StepContext, StepResult
from trading.workflow.steps.validate_risk import look, propose

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
    asked = approval_of(decision_id=decision.pk)
    if asked is not None:
        return _asked(asked)
    written = orders_of(decision) or _changed(decision)
    if written:
        return _report(context, written, "found again: nothing is sent a second time")
    try:
        return _new(context, decision)
    except (TradingDisabled, NoRoomLeft) as error:
        return _refused(decision, error)


def _changed(decision: Decision) -> list[Order]:
    return [change.order for change in OrderChange.objects.filter(decision=decision).select_related("order")]


def _refused(decision: Decision, error: AutoTraderError) -> StepResult:
    code, reason = error.reason, f"{error.reason}: {error.message}"

    def write() -> dict[str, Any]:
        decision_refuse(decision, code, error.message, error.details.get("verdicts"))
        return {}

    return StepResult({"orders": [], "refused": code}, write=write, stop="refused", reason=reason)


def _new(context: StepContext, decision: Decision) -> StepResult:
    intent = _intent(context, decision)
    # By the ledger it was decided for: the strategy's mode may have been changed since.
    if decision.account.kind == AccountKind.SHADOW:
        return _shadow(context, intent)
    if not settings.ORDERS_ENABLED:
        return _simulate(context, intent)
    gates.check_send(
        reduces=decision.purpose == Purpose.EXIT, account=decision.account_id, status=context.broker.status()
    )
    needed = approval_needed(intent)
    if needed is not None:
        return _ask(context, intent, needed)
    context.lease(TABLE["place"].timeout)
    if decision.purpose == Purpose.ENTRY:
        orders = entry_write(context.execution, intent)
        return _report(context, orders, place(context.broker, orders, reduces=False))
    sent = exit_send(context.execution, context.broker, intent)
    return _report(context, sent.orders, sent.note)


def _ask(context: StepContext, intent: Intent, needed: Needed) -> StepResult:
    """Write the order down for a person, with what it would cost by the broker's word."""
    context.lease(TABLE["preview"].timeout)
    cost = what_if(context.broker, intent)
    return _asked(approval_request(context.execution, intent, needed, cost, asked_by=context.cycle.requested_by))


def _asked(approval: Approval) -> StepResult:
    """The execution ends here; the order goes on as a dispatch when it is approved."""
    persons = "a person" if approval.needed == 1 else f"{approval.needed} persons"
    reason = (
        f"approval {approval.pk} waits for {persons} until {approval.expires_at:%Y-%m-%d %H:%M:%S} UTC;"
        f" give it on /approvals/{approval.pk}/ or in the admin under Approvals"
    )
    output = {"orders": orders_report(rows_of(approval)), "approval": approval.pk}
    return StepResult(output, stop="pending_approval", reason=reason)


def _intent(context: StepContext, decision: Decision) -> Intent:
    sized = context.outputs["validate_risk"]
    ends = context.outputs["check_session"].get("expires_at")
    profile = decision.strategy.risk_profile
    # By the market's time of this moment: the execution may have begun minutes ago, and limits count by the second.
    proposal = propose(context, decision, look(context))[0]
    assert decision.limit_price is not None
    assert decision.quantity is not None
    return Intent(
        account=decision.account,
        instrument=decision.instrument,
        strategy=decision.strategy,
        decision=decision,
        request=None,
        purpose=decision.purpose,
        side="BUY" if decision.type == "buy" else "SELL",
        order_type="LMT",
        quantity=decision.quantity,
        limit_price=decision.limit_price,
        stop_price=decision.stop_price,
        target_price=decision.target_price,
        tif="DAY",
        expires_at=datetime.fromisoformat(ends) if ends else None,
        market_now=proposal.market_now,
        configuration={
            "gates": gates.snapshot(decision.account_id),
            "risk_profile": {"name": profile.name, "version": profile.version},
            "verdicts": {row.rule: row.values for row in decision.verdicts.all()},
            "equity": sized["equity"],
        },
        proposal=proposal,
    )


def _simulate(context: StepContext, intent: Intent) -> StepResult:
    if intent.is_entry:
        orders = entry_write(context.execution, intent, state=OrderState.SIMULATED)
    else:
        orders = [exit_write(context.execution, intent, state=OrderState.SIMULATED)]
    return StepResult(_output(orders), stop="simulated", reason="ORDERS_ENABLED=false: nothing was sent")


def _shadow(context: StepContext, intent: Intent) -> StepResult:
    quote = look(context).quote
    if quote is None:
        raise NoRoomLeft("No quote to fill the shadow order on.", code="NO_QUOTE")
    if intent.is_entry:
        orders = entry_write(context.execution, intent)
        shadow_place(context.execution, orders, quote)
    else:
        orders = [exit_write(context.execution, intent)]
        shadow_exit(context.execution, orders[0], quote)
    return StepResult(_output(orders), stop="shadow", reason="filled in the shadow ledger")


def _report(context: StepContext, orders: list[Order], note: str) -> StepResult:
    """Wait a little for the owner's evidence, then say what is known."""
    await_word(orders[0], context.spec.parameters.wait_s)
    output = _output(orders) | {"note": note}
    return StepResult(output, stop="ordered", reason=note or f"{output['orders'][0]['state']}")


def _output(orders: list[Order]) -> dict[str, Any]:
    return {"orders": orders_report(orders)}
