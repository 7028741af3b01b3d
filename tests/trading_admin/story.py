"""A believable decision with everything around it, made through the services from a seeded random walk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from autotrader.core import audit
from autotrader.core.money import to_tick
from broker import types
from research import facade
from research import types as research
from tests.trading.builders import market, summary
from trading.models import Analysis, Decision, Instrument, Order, Strategy, WorkflowExecution
from trading.risk.base import Proposal
from trading.risk.rules import judge
from trading.services.accounts import account_ensure, snapshot_take
from trading.services.bars import bars_store
from trading.services.cycles import cycle_close, cycle_queue
from trading.services.decisions import Facts, decision_judge, decision_make
from trading.services.demo import demo_seed
from trading.services.evidence import apply
from trading.services.executions import StepRecord, cycle_started, execution_claim, execution_end, step_commit
from trading.services.intents import Intent
from trading.services.orders import entry_write
from trading.services.proposals import decision_proposal

MARKET = datetime(2020, 7, 20, 20, 0, tzinfo=UTC)
TICK = Decimal("0.01")
QUANTITY = Decimal(410)
TIMEFRAMES = ((1, "2 Y", "1 day", 504, 1), (2, "5 Y", "1 week", 260, 5))
# Walks of which the rules say what the story tells of them.
SEEDS = {("AAPL", 1): 29, ("AAPL", 5): 69}
NAMES = {"AAPL": ("Apple Inc", 265598), "IBM": ("Intl Business Machines Corp", 8314), "SPY": ("SPDR S&P 500", 756733)}


@dataclass(frozen=True)
class Told:
    """What the builder made."""

    execution: WorkflowExecution
    decision: Decision
    orders: list[Order]


def walk(symbol: str, bar_size: str, period: str, count: int, days: int) -> types.Bars:
    """A random walk that ends near 390, with a dip on the way."""
    random = np.random.default_rng(SEEDS.get((symbol, days), days))
    change = random.normal(0.0012 * days, 0.016 * days**0.5, count)
    change[count // 2 : count // 2 + max(24 // days, 4)] -= 0.012 * days**0.5
    close = np.exp(np.cumsum(change))
    close *= 390 / close[-1]
    opened = close * (1 + random.normal(0, 0.005, count))
    high = np.maximum(opened, close) * (1 + abs(random.normal(0, 0.005, count)))
    low = np.minimum(opened, close) * (1 - abs(random.normal(0, 0.005, count)))
    last = np.datetime64(MARKET.date())
    back = np.arange(count)[::-1]
    time = (np.busday_offset(last, -back) if days == 1 else last - 7 * back).astype("datetime64[s]")
    return types.Bars(
        NAMES[symbol][1], symbol, bar_size, period, time, opened.round(2), high.round(2), low.round(2), close.round(2),
        random.lognormal(17.2, 0.3, count).round(), MARKET, "walk",
    )  # fmt: skip


def tell(kind: str = "buy", symbol: str = "AAPL", *, rationale: str = "", summary: str = "") -> Told:
    """One execution that ends as `kind`: buy (ordered and filled), refused, or hold."""
    strategy = demo_seed()
    instrument = _resolved(symbol)
    execution = _claimed(strategy, instrument)
    with audit.acting(actor="strategy:demo", correlation_id=execution.correlation_id):
        price = _analysed(execution, summary)
        decision = _decided(execution, kind, price, rationale)
        orders = _ordered(execution, decision) if kind == "buy" else []
        outcome = {"buy": "ordered", "refused": "refused", "hold": "hold"}[kind]
        with audit.recording():
            _steps(execution)
            execution_end(execution, outcome=outcome, reason=(decision.reasons or ["FILLED"])[0])
    cycle_close(execution.cycle)
    return Told(execution, decision, orders)


def _resolved(symbol: str) -> Instrument:
    name, con_id = NAMES[symbol]
    instrument = Instrument.objects.get(symbol=symbol)
    instrument.name, instrument.con_id, instrument.tick, instrument.lot = name, con_id, TICK, Decimal(1)
    instrument.save()
    return instrument


def _claimed(strategy: Strategy, instrument: Instrument) -> WorkflowExecution:
    account = account_ensure("DU1234567")
    cycle = cycle_queue(strategies=[strategy], trigger="manual", actor="anna", symbols=[instrument.symbol], wake=False)
    execution = execution_claim("work", "desk-1:4711", cycle.pk)
    assert execution is not None
    WorkflowExecution.objects.filter(pk=execution.pk).update(account=account)
    execution.account = account
    cycle_started(execution, MARKET, account.pk)
    return execution


def _analysed(execution: WorkflowExecution, summary: str) -> Decimal:
    """Analyses by the rules on both timeframes; the last close."""
    analyst = facade.analyst("rules")
    seen = []
    for timeframe, period, bar_size, count, days in TIMEFRAMES:
        bars = walk(execution.instrument.symbol, bar_size, period, count, days)
        given = research.TimeframeInput(period, bars, facade.indicators(bars), MARKET)
        seen.append(analyst.analyze(given).value)
        _save(execution, timeframe, seen[-1], summary, bars=bars_store(bars), period=period, bar_size=bar_size)
    _save(execution, 0, analyst.consolidate(tuple(seen)).value, summary)
    return Decimal(str(bars.close[-1]))


def _save(execution: WorkflowExecution, timeframe: int, seen: Any, summary: str, **fields: Any) -> None:
    Analysis.objects.create(
        execution=execution,
        timeframe=timeframe,
        direction=seen.direction,
        strength=seen.strength,
        summary=summary or seen.summary,
        facts=dict(seen.facts),
        decided_by=seen.decided_by,
        **fields,
    )


def _decided(execution: WorkflowExecution, kind: str, price: Decimal, rationale: str) -> Decision:
    instrument = execution.instrument
    assert instrument.con_id is not None
    quote = types.Quote(
        instrument.con_id, instrument.symbol, price - TICK, price + TICK, price, None, None, None, None, MARKET, "live"
    )
    facts = Facts(quote=quote, position=Decimal(0), entry_working=False, allow_add=False, market_now=MARKET)
    with audit.recording():
        decision = decision_make(execution, _opinion(execution, kind, price, rationale), facts)
        if kind != "hold":
            verdicts = judge(_proposal(decision))
            decision_judge(decision, verdicts, quantity=QUANTITY, limit_price=_limit(decision))
    return decision


def _opinion(execution: WorkflowExecution, kind: str, price: Decimal, rationale: str) -> research.Opinion:
    symbol = execution.instrument.symbol
    if kind == "hold":
        return research.Opinion.hold(
            symbol, reason="timeframes_disagree", detail=rationale or "The timeframes point in opposite directions.",
            decided_by="rules-v1", price=price,
        )  # fmt: skip
    target = to_tick(price * Decimal("1.105" if kind == "buy" else "1.03"), TICK)
    stop = to_tick(price * Decimal("0.948"), TICK)
    return research.Opinion(
        symbol=symbol, type="buy", current_price=price, target_price=target, stop_loss=stop,
        profit_margin=(target - price) / price, r_coefficient=(target - price) / (price - stop), confidence=0.82,
        rationale=rationale or "Both timeframes rise: price above a rising SMA 50, MACD turning up, RSI not stretched.",
        evidence=("chart:1 day", "chart:1 week"), reason="", detail="", decided_by="rules-v1",
        strategy_used="Indicator_2Y_1day_5Y_1week",
    )  # fmt: skip


def _limit(decision: Decision) -> Decimal:
    assert decision.price is not None
    return to_tick(decision.price * Decimal("1.01"), TICK)


def _proposal(decision: Decision) -> Proposal:
    told = market(decision.instrument.symbol, equity="1000000", at=MARKET)
    assert told.quote is not None
    quote = replace(told.quote, bid=decision.bid, ask=decision.ask, close=decision.price)
    made, _ = decision_proposal(decision, replace(told, quote=quote))
    return replace(made, quantity=QUANTITY)


def _ordered(execution: WorkflowExecution, decision: Decision) -> list[Order]:
    assert decision.limit_price is not None
    intent = Intent(
        account=decision.account, instrument=decision.instrument, strategy=decision.strategy, decision=decision,
        request=None, purpose="entry", side="BUY", order_type="LMT", quantity=QUANTITY,
        limit_price=decision.limit_price, stop_price=decision.stop_price, target_price=decision.target_price,
        tif="DAY", expires_at=MARKET + timedelta(days=1), market_now=MARKET,
        configuration={"equity": "1000000", "gates": {"mode": "paper"}}, proposal=_proposal(decision),
    )  # fmt: skip
    orders = entry_write(execution, intent)
    with audit.recording():
        for number, order in enumerate(orders):
            _submitted(order, orders[0].pk * 100 + number)
        _filled(orders[0], orders[0].pk * 100)
        snapshot_take(summary("1000000"), [], cause="fill", market_at=MARKET)
    return orders


def _submitted(order: Order, perm_id: int) -> None:
    apply(types.SubmissionReport(order.account_id, order.order_ref, 0, "SENT", MARKET))
    apply(_report(order, perm_id))


def _report(order: Order, perm_id: int) -> types.OrderReport:
    assert order.instrument.con_id is not None
    return types.OrderReport(
        account=order.account_id, order_ref=order.order_ref, perm_id=perm_id, client_id=1,
        con_id=order.instrument.con_id, symbol=order.instrument.symbol, side=order.side, quantity=order.quantity,
        order_type=order.order_type, limit_price=order.limit_price, stop_price=order.stop_price, tif=order.tif,
        status="Submitted", filled=Decimal(0), remaining=order.quantity, average_price=None, why_held="",
        parent_perm_id=0, oca_group=order.group, time=MARKET,
    )  # fmt: skip


def _filled(order: Order, perm_id: int) -> None:
    at = MARKET + timedelta(hours=17, minutes=30, seconds=1)
    price = (order.limit_price or Decimal(0)) - Decimal("1.15")
    exec_id = f"0000e0d5.{order.pk:08x}.01.01"
    report = _report(order, perm_id)
    assert order.instrument.con_id is not None
    apply(
        types.ExecutionReport(
            account=order.account_id, order_ref=order.order_ref, perm_id=perm_id, exec_id=exec_id,
            con_id=order.instrument.con_id, symbol=order.instrument.symbol, side="BUY", quantity=order.quantity,
            price=price, time=at, exchange="NASDAQ",
        )
    )  # fmt: skip
    apply(types.CommissionReport(order.account_id, order.order_ref, exec_id, Decimal("2.05"), "USD", None, at))
    done = replace(report, status="Filled", filled=order.quantity, remaining=Decimal(0), average_price=price, time=at)
    apply(done)


def _steps(execution: WorkflowExecution) -> None:
    """The steps up to here, each with a little time of its own."""
    began = execution.started_at
    assert began is not None
    for index, step in enumerate(execution.workflow_version.steps):
        step_commit(
            execution,
            StepRecord(index, step["name"], {}, {"index": index}, began + timedelta(milliseconds=12 * index)),
        )
