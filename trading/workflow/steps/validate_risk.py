"""Size the order and put it before every risk rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from autotrader.core.money import quantize_price, to_tick
from broker import types
from broker.errors import AccountError, MarketDataError
from trading.models import Decision
from trading.models.decision import Purpose
from trading.risk.base import Proposal
from trading.risk.rules import judge
from trading.risk.sizing import Room, Size, size_entry
from trading.selectors.orders import entries_since
from trading.selectors.positions import exposure
from trading.services.decisions import decision_judge, reward
from trading.workflow.context import StepContext, StepResult

NEEDS: tuple[str, ...] = ("decide",)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Nothing to choose: the limits stand in the strategy's risk profile."""


@dataclass(frozen=True, slots=True)
class Market:
    """What the broker says at this moment; None where it did not answer."""

    quote: types.Quote | None
    summary: types.AccountSummary | None
    now: datetime


def run(context: StepContext) -> StepResult:
    """Output: size, limit and the codes of the rules that refuse; a refusal ends the execution."""
    decision = Decision.objects.select_related("instrument", "strategy__risk_profile", "account").get(
        pk=context.outputs["decide"]["decision"]
    )
    market = look(context)
    proposal, size = propose(context, decision, market)
    verdicts = judge(proposal)
    refused = [verdict for verdict in verdicts if not verdict.allowed]

    def write() -> dict[str, Any]:
        _reprice(decision, proposal)
        decision_judge(decision, verdicts, quantity=proposal.quantity, limit_price=proposal.limit_price)
        return {}

    output = {
        "quantity": str(proposal.quantity),
        "limit_price": _text(proposal.limit_price),
        "equity": _text(proposal.equity),
        "capped_by": size.capped_by,
        "refused": [verdict.code for verdict in refused],
    }
    if refused:
        return StepResult(output, write=write, stop="refused", reason=f"{refused[0].code}: {refused[0].message}")
    return StepResult(output, write=write)


def look(context: StepContext) -> Market:
    """A fresh quote, the account and the market's time; the rules refuse what is missing."""
    con_id = context.outputs["check_session"]["con_id"]
    try:
        quote = context.broker.quote(types.ConId(con_id))
    except MarketDataError:
        quote = None
    try:
        summary = context.broker.account()
    except AccountError:
        summary = None
    return Market(quote, summary, context.broker.status().market_now)


def propose(context: StepContext, decision: Decision, market: Market) -> tuple[Proposal, Size]:
    """The order as it would be sent, and how it was sized."""
    side = "BUY" if decision.type == "buy" else "SELL"
    tick = decision.instrument.tick
    quote, limits = market.quote, decision.strategy.risk_profile
    price = None if quote is None else (quote.ask if side == "BUY" else quote.bid)
    limit = _collared(price, side, limits.price_collar, tick)
    stop, target = _on_grid(decision.stop_price, tick), _on_grid(decision.target_price, tick)
    at_stake = exposure(decision.account, decision.instrument)
    summary = market.summary
    room = Room(
        summary.net_liquidation if summary else None,
        summary.available_funds if summary else None,
        at_stake.total,
        at_stake.instrument,
    )
    size = _size(decision, limit, stop, room)
    gained = reward(side, price, target, stop)
    proposal = Proposal(
        purpose=decision.purpose,
        side=side,
        symbol=decision.instrument.symbol,
        currency=decision.instrument.currency,
        base_currency=decision.account.base_currency,
        price=price,
        claimed_price=decision.claimed_price,
        target_price=target,
        stop_price=stop,
        reward_ratio=gained.ratio,
        profit_margin=gained.margin,
        bid=quote.bid if quote else None,
        ask=quote.ask if quote else None,
        quote_at=quote.time if quote else None,
        market_now=market.now,
        limit_price=limit,
        quantity=size.quantity,
        tick=tick,
        position=decision.position_quantity,
        equity=room.equity,
        available_funds=room.available_funds,
        exposure_total=at_stake.total,
        exposure_instrument=at_stake.instrument,
        open_entries=at_stake.open_entries,
        entries_today=entries_since(decision.strategy, decision.account, _day_began(context)),
        allow_short=decision.strategy.allow_short,
        own_symbols=tuple(decision.strategy.instruments.values_list("symbol", flat=True)),
        limits=limits,
    )
    return proposal, size


def _size(decision: Decision, limit: Decimal | None, stop: Decimal | None, room: Room) -> Size:
    if decision.purpose == Purpose.EXIT:
        return Size(abs(decision.position_quantity), "position")
    if limit is None or stop is None:
        return Size(ZERO, "unknown")
    lot = decision.instrument.lot or Decimal(1)
    return size_entry(limit=limit, stop=stop, lot=lot, room=room, limits=decision.strategy.risk_profile)


def _day_began(context: StepContext) -> datetime:
    opened = context.outputs["check_session"].get("open")
    return datetime.fromisoformat(opened) if opened else context.market_now.replace(hour=0, minute=0, second=0)


def _collared(price: Decimal | None, side: str, collar: Decimal, tick: Decimal | None) -> Decimal | None:
    """The marketable limit: the quote plus or minus the collar, rounded towards the quote."""
    if price is None or tick is None:
        return None
    buys = side == "BUY"
    return to_tick(price * (1 + collar if buys else 1 - collar), tick, up=not buys)


def _on_grid(price: Decimal | None, tick: Decimal | None) -> Decimal | None:
    return to_tick(price, tick) if price is not None and tick is not None else None


def _reprice(decision: Decision, proposal: Proposal) -> None:
    """Keep what the rules saw: the quote of their moment and the prices on the tick grid."""
    seen = {
        "price": proposal.price,
        "bid": proposal.bid,
        "ask": proposal.ask,
        "quote_at": proposal.quote_at,
        "stop_price": proposal.stop_price,
        "target_price": proposal.target_price,
        "reward_ratio": proposal.reward_ratio,
        "profit_margin": proposal.profit_margin,
    }
    for name, value in seen.items():
        if value is not None:
            setattr(decision, name, quantize_price(value) if isinstance(value, Decimal) else value)
    decision.save(update_fields=list(seen))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
