"""What the tests of the desk are made of: proposals, strategies, decisions, brackets and the broker's words on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from autotrader.core import audit
from broker import types
from broker.gates import HaltReading, HaltState
from research import types as research
from trading.models import Decision, Instrument, Order, RiskProfile, Strategy, Workflow, WorkflowExecution
from trading.risk.base import Proposal
from trading.selectors.desk_state import DeskState
from trading.selectors.ledger import EMPTY, Ledger
from trading.services.accounts import account_ensure
from trading.services.cycles import cycle_queue
from trading.services.decisions import Facts, decision_judge, decision_make
from trading.services.evidence import apply
from trading.services.executions import execution_claim
from trading.services.intents import Intent
from trading.services.orders import entry_write
from trading.services.proposals import Market, decision_proposal
from trading.services.strategies import risk_profile_save, strategy_save
from trading.services.workflows import workflow_publish, workflow_version_add

NOW = datetime(2020, 7, 20, 15, 0, tzinfo=UTC)
CLOSE = NOW + timedelta(hours=5)
ACCOUNT = "DU1234567"
CON_IDS = {"AAPL": 265598, "IBM": 8314, "SPY": 756733}
STEPS: list[dict[str, Any]] = [{"name": "check_session"}]


def D(text: str | int) -> Decimal:
    return Decimal(text)


# Rules


def proposal(**changes: Any) -> Proposal:
    """A buy that every rule allows.

    Changes by the name of a field: the proposal's own, else its ledger's, else its desk's; `held` is the ledger's
    position, and `limits={…}`, `ledger={…}`, `desk={…}` name theirs.
    """
    limits = RiskProfile(name="test", **changes.pop("limits", {}))
    ledger, desk = changes.pop("ledger", {}), changes.pop("desk", {})
    if "held" in changes:
        ledger["position"] = changes.pop("held")
    own = {field.name for field in fields(Proposal)}
    for name in set(changes) - own:
        part = ledger if name in {field.name for field in fields(Ledger)} else desk
        part[name] = changes.pop(name)
    sound: dict[str, Any] = {
        "purpose": "entry", "side": "BUY", "order_type": "LMT", "quantity": D(100), "limit_price": D(101),
        "stop_price": D(95), "target_price": D(110), "account": ACCOUNT, "strategy": None,
        "instrument": Instrument(symbol="AAPL"), "symbol": "AAPL", "con_id": CON_IDS["AAPL"], "currency": "USD",
        "base_currency": "USD", "tick": D("0.01"), "lot": D(1), "price": D(100), "bid": D("99.98"), "ask": D(100),
        "close": D(100), "quote_at": NOW, "claimed_price": D(100), "reward_ratio": D(2), "profit_margin": D("0.1"),
        "decided_at": NOW, "market_now": NOW, "day_began": NOW.replace(hour=4), "position": D(0),
        "equity": D(100_000), "available_funds": D(50_000), "funds_in_flight": D(0),
        "allowed_con_ids": frozenset(CON_IDS.values()), "restricted_con_ids": frozenset(), "allow_short": False,
        "limits": limits, "ledger": replace(EMPTY, **ledger), "desk": replace(desk_of(status()), **desk),
    }  # fmt: skip
    return Proposal(**(sound | changes))


def short_proposal(**changes: Any) -> Proposal:
    """The mirror image: a sell that opens."""
    mirrored: dict[str, Any] = {
        "side": "SELL", "target_price": D(90), "stop_price": D(105), "limit_price": D(99), "allow_short": True,
        "bid": D(100), "ask": D("100.02"),
    }  # fmt: skip
    return proposal(**(mirrored | changes))


def status(**changes: Any) -> types.BrokerStatus:
    """A broker that is ready, on a set clock."""
    ready = types.BrokerStatus(
        ready=True, connected=True, reason="", account=ACCOUNT, accounts=(ACCOUNT,), clock="set", market_now=NOW,
        since=NOW, owner="test", phase="ready",
    )  # fmt: skip
    return replace(ready, **changes)


def desk_of(said: types.BrokerStatus | None) -> DeskState:
    """A desk on which nothing is in the way."""
    active = HaltReading(HaltState.ACTIVE, "", "test", None, 0)
    return DeskState(halt=active, status=said, sends=True, money=None, broker=None, clock=None)


# Rows


def published(steps: list[dict[str, Any]] | None = None, name: str = "workflow") -> Any:
    workflow, _ = Workflow.objects.get_or_create(name=name)
    return workflow_publish(workflow_version_add(workflow, steps or STEPS), actor="test")


def instrument(symbol: str = "AAPL") -> Instrument:
    """The row that names its exchange: a fill by somebody else may have left another of the same symbol."""
    row, _ = Instrument.objects.get_or_create(
        symbol=symbol, exchange="SMART", defaults={"con_id": CON_IDS.get(symbol), "tick": D("0.01"), "lot": D(1)}
    )
    return row


def strategy(name: str = "s", symbols: Iterable[str] = ("AAPL",), limits: Any = None, **fields: Any) -> Strategy:
    """A strategy made through the services."""
    profile = risk_profile_save(RiskProfile(name=f"limits of {name}", **(limits or {})), actor="test")
    row = Strategy(
        **{"name": name, "workflow_version": None, "risk_profile": profile}
        | {"workflow_version": fields.pop("workflow_version", None) or published(name=f"workflow of {name}")}
        | fields
    )
    return strategy_save(row, actor="test", instruments=[instrument(symbol) for symbol in symbols])


def claimed(row: Strategy, symbol: str = "AAPL", account: str = ACCOUNT) -> WorkflowExecution:
    """An execution in a worker's hands, bound to its ledger."""
    cycle = cycle_queue(strategies=[row], trigger="manual", actor="test", symbols=[symbol], lane="test", wake=False)
    execution = execution_claim("test", "worker-1", cycle.pk)
    assert execution is not None
    execution.account = account_ensure(account)
    WorkflowExecution.objects.filter(pk=execution.pk).update(account=execution.account)
    return execution


def quote(bid: str = "99.98", ask: str = "100.00", *, at: datetime = NOW, symbol: str = "AAPL") -> types.Quote:
    return types.Quote(
        CON_IDS[symbol], symbol, D(bid), D(ask), D(ask), D(100), D(100), D(1000), D(ask), time=at, feed="live"
    )


def opinion(kind: str = "buy", **changes: Any) -> research.Opinion:
    """What an analyst says at 100: 110 and 95 for a buy, 90 and 105 for a sell."""
    buys = kind == "buy"
    said = research.Opinion(
        symbol="AAPL", type=kind, current_price=D(100),  # type: ignore[arg-type]
        target_price=D(110 if buys else 90), stop_loss=D(95 if buys else 105), profit_margin=D("0.1"),
        r_coefficient=D(2), confidence=0.8, rationale="because", evidence=("chart:1 day",), reason="", detail="",
        decided_by="rules-v1", strategy_used="Indicator_2Y_1day",
    )  # fmt: skip
    return replace(said, **changes)


def facts(position: str = "0", **changes: Any) -> Facts:
    base = Facts(quote=quote(), position=D(position), entry_working=False, allow_add=False, market_now=NOW)
    return replace(base, **changes)


def decided(
    execution: WorkflowExecution, kind: str = "buy", *, quantity: str = "10", position: str = "0", **changes: Any
) -> Decision:
    """A decision that the rules allowed, with its size."""
    with audit.recording():
        decision = decision_make(execution, opinion(kind), facts(position, **changes))
        limit = D(101) if kind == "buy" else D(99)
        decision_judge(decision, [], quantity=D(quantity), limit_price=limit)
    return decision


def intent(decision: Decision, **changes: Any) -> Intent:
    """The order as allowed."""
    assert decision.quantity is not None
    assert decision.limit_price is not None
    made = Intent(
        account=decision.account, instrument=decision.instrument, strategy=decision.strategy, decision=decision,
        request=None, purpose=decision.purpose, side="BUY" if decision.type == "buy" else "SELL", order_type="LMT",
        quantity=decision.quantity, limit_price=decision.limit_price, stop_price=decision.stop_price,
        target_price=decision.target_price, tif="DAY", expires_at=CLOSE, market_now=NOW,
        configuration={"equity": "100000"}, proposal=_judged(decision),
    )  # fmt: skip
    return replace(made, **changes)


def _judged(decision: Decision) -> Proposal:
    return decision_proposal(decision, market(decision.instrument.symbol))[0]


def market(symbol: str = "AAPL", *, equity: str = "100000", at: datetime = NOW) -> Market:
    """What the broker says at that time: a narrow quote at 100, and an account with this equity, all of it free."""
    return Market(CON_IDS[symbol], quote(at=at, symbol=symbol), summary(equity), status(market_now=at))


def summary(equity: str = "100000") -> types.AccountSummary:
    value = D(equity)
    return types.AccountSummary(
        account=ACCOUNT, currency="USD", net_liquidation=value, cash=value, buying_power=value, available_funds=value,
        gross_position_value=D(0), init_margin=D(0), maint_margin=D(0), realized_pnl=D(0), unrealized_pnl=D(0),
        time=NOW,
    )  # fmt: skip


def bracket(row: Strategy | None = None, symbol: str = "AAPL", *, quantity: str = "10") -> list[Order]:
    """An entry with its stop and target, written as SENDING."""
    execution = claimed(row or strategy(), symbol)
    decision = decided(execution, quantity=quantity)
    return entry_write(execution, intent(decision))


# The broker's words


def deliver(*events: object) -> None:
    """Apply each event as the owner's writer does: a transaction each."""
    for event in events:
        with audit.acting(actor="broker"), audit.recording():
            apply(event)


def sent(order: Order, state: str = "SENT", revision: int = 0, detail: str = "") -> types.SubmissionReport:
    return types.SubmissionReport(order.account_id, order.order_ref, revision, state, NOW, detail)  # type: ignore[arg-type]


def report(order: Order, status: str, filled: str = "0", remaining: str | None = None, **changes: Any) -> Any:
    """What the broker says of the order; `remaining` follows from `filled` unless given."""
    left = order.quantity - D(filled) if remaining is None else D(remaining)
    said = types.OrderReport(
        account=order.account_id, order_ref=order.order_ref, perm_id=9000 + order.pk, client_id=1,
        con_id=order.instrument.con_id or 0, symbol=order.instrument.symbol, side=order.side, quantity=order.quantity,
        order_type=order.order_type, limit_price=order.limit_price, stop_price=order.stop_price, tif=order.tif,
        status=status, filled=D(filled), remaining=left, average_price=None, why_held="", parent_perm_id=0,
        oca_group="", time=NOW,
    )  # fmt: skip
    return replace(said, **changes)


def fill(
    order: Order, quantity: str, price: str = "100", *, number: int = 1, correction: int = 1, **changes: Any
) -> types.ExecutionReport:
    """One execution of the order."""
    said = types.ExecutionReport(
        account=order.account_id, order_ref=order.order_ref, perm_id=9000 + order.pk,
        exec_id=f"0000e0d5.{order.pk:06x}{number:02x}.01.{correction:02d}", con_id=order.instrument.con_id or 0,
        symbol=order.instrument.symbol, side=order.side, quantity=D(quantity),  # type: ignore[arg-type]
        price=D(price), time=NOW + timedelta(minutes=number), exchange="NASDAQ",
    )  # fmt: skip
    return replace(said, **changes)


def cost(of: types.ExecutionReport, commission: str = "1.00", pnl: str | None = None) -> types.CommissionReport:
    gained = None if pnl is None else D(pnl)
    return types.CommissionReport(of.account, of.order_ref, of.exec_id, D(commission), "USD", gained, of.time)


def said(order: Order, code: int, message: str = "no") -> types.OrderMessage:
    return types.OrderMessage(order.account_id, order.order_ref, 9000 + order.pk, code, message, NOW)


def missing(order: Order, *, proven: bool) -> types.OrderMissing:
    return types.OrderMissing(order.account_id, order.order_ref, proven, "not in the book", NOW)


def bought(row: Strategy | None = None, symbol: str = "AAPL", *, quantity: str = "10") -> list[Order]:
    """A bracket whose entry has filled at 100 with 1.00 of commission; stop and target work."""
    entry, stop, target = bracket(row, symbol, quantity=quantity)
    execution = fill(entry, quantity)
    deliver(
        *(sent(leg) for leg in (entry, stop, target)),
        *(report(leg, "PreSubmitted") for leg in (entry, stop, target)),
        execution,
        report(entry, "Filled", quantity),
        cost(execution),
        report(target, "Submitted"),
        replace(summary(), account=entry.account_id),
    )
    for leg in (entry, stop, target):
        leg.refresh_from_db()
    return [entry, stop, target]
