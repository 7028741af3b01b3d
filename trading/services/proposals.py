"""An order as the controls judge it: built of a decision or a request and the market, and judged again at sending."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from autotrader.core.money import to_tick
from broker import types
from broker.errors import AccountError, MarketDataError
from broker.port import Broker
from trading.models import Account, Decision, Instrument, RiskProfile, Strategy
from trading.models.account import AccountKind
from trading.models.decision import DecisionState, Purpose
from trading.risk.base import Proposal, Verdict
from trading.risk.rules import judge
from trading.risk.sizing import Room, Size, size_entry
from trading.selectors.contracts import listed
from trading.selectors.desk_state import desk_state
from trading.selectors.exchange_days import day_began
from trading.selectors.ledger import ApprovalFacts, ledger_read
from trading.selectors.ledger_rows import Rows, rows_read
from trading.selectors.limits import limits_of
from trading.services.decisions import reward
from trading.services.verdicts import verdicts_document, verdicts_save

__all__ = [
    "Cause",
    "Market",
    "Terms",
    "decision_proposal",
    "judge_again",
    "look",
    "propose",
    "verdicts_document",
    "verdicts_save",
]
ZERO = Decimal(0)
# The broker pushes an account's values at least this often, so what was bought before is in its figures.
FUNDS_LAG = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Market:
    """What the broker says of one contract and of the account at this moment; None where it did not answer."""

    con_id: int
    quote: types.Quote | None
    summary: types.AccountSummary | None
    status: types.BrokerStatus

    @property
    def now(self) -> datetime:
        """The market's time."""
        return self.status.market_now


@dataclass(frozen=True, slots=True)
class Cause:
    """Whose order it is, and what led to it; `position` was held when it was decided, at `decided_at` (market time)."""

    account: Account
    strategy: Strategy | None
    instrument: Instrument
    limits: RiskProfile
    source: str
    decided_at: datetime
    position: Decimal
    claimed_price: Decimal | None = None
    intended: bool = False
    must_be_approved: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """An order as wished for. `quantity` None is sized by the limits; a `limit_price` of None is set at the collar
    of a limit order, and left open at the market."""

    purpose: str
    side: str
    quantity: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    target_price: Decimal | None
    order_type: str = "LMT"


def look(broker: Broker, con_id: int) -> Market:
    """A fresh quote, the account and the broker's state; what is missing, the rules refuse."""
    try:
        quote = broker.quote(types.ConId(con_id))
    except MarketDataError:
        quote = None
    try:
        summary = broker.account()
    except AccountError:
        summary = None
    return Market(con_id, quote, summary, broker.status())


def decision_proposal(decision: Decision, market: Market) -> tuple[Proposal, Size]:
    """The order that a decision comes to, and how it was sized; one that was allowed already keeps its terms."""
    cause = Cause(
        account=decision.account,
        strategy=decision.strategy,
        instrument=decision.instrument,
        limits=decision.strategy.risk_profile,
        source="decision",
        decided_at=decision.market_at,
        position=decision.position_quantity,
        claimed_price=decision.claimed_price,
    )
    settled = decision.state == DecisionState.ALLOWED
    quantity = abs(decision.position_quantity) if decision.purpose == Purpose.EXIT else None
    terms = Terms(
        purpose=decision.purpose,
        side="BUY" if decision.type == "buy" else "SELL",
        quantity=decision.quantity if settled else quantity,
        limit_price=decision.limit_price if settled else None,
        stop_price=decision.stop_price,
        target_price=decision.target_price,
    )
    return propose(cause, terms, market)


def propose(cause: Cause, terms: Terms, market: Market) -> tuple[Proposal, Size]:
    """The order as it would be sent: prices on the tick grid, everything that the market says recomputed.

    A price or quantity that was given stays as it was given, for the rules to refuse where it does not fit.
    """
    quote = market.quote
    price = None if quote is None else (quote.ask if terms.side == "BUY" else quote.bid)
    terms = _priced(terms, cause, price)
    began = day_began(market.now, cause.instrument.time_zone)
    rows = rows_read(cause.account, cause.strategy, cause.instrument, market.now, began)
    flying = rows.bought_since(market.now - FUNDS_LAG)
    size = _size(cause, terms, market, rows, flying)
    gained = reward(terms.side, price, terms.target_price, terms.stop_price)
    proposal = Proposal(
        **_cause_fields(cause, market),
        **_market_fields(market, cause.account),
        purpose=terms.purpose,
        role=terms.purpose,
        side=terms.side,
        order_type=terms.order_type,
        quantity=size.quantity,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
        target_price=terms.target_price,
        price=price,
        reward_ratio=gained.ratio,
        profit_margin=gained.margin,
        day_began=began,
        funds_in_flight=flying,
        ledger=ledger_read(
            cause.account,
            cause.strategy,
            cause.instrument,
            terms.side,
            terms.order_type,
            size.quantity,
            terms.limit_price,
            market.now,
            began,
            rows=rows,
        ),
    )
    return proposal, size


def _cause_fields(cause: Cause, market: Market) -> dict[str, Any]:
    instrument, strategy = cause.instrument, cause.strategy
    contracts = listed(cause.limits, strategy)
    return {
        "account": cause.account.pk,
        "strategy": strategy,
        "instrument": instrument,
        "symbol": instrument.symbol,
        # What the quote is of must be what would be traded.
        "con_id": instrument.con_id if instrument.con_id == market.con_id else None,
        "currency": instrument.currency,
        "base_currency": cause.account.base_currency,
        "tick": instrument.tick,
        "lot": instrument.lot,
        "claimed_price": cause.claimed_price,
        "decided_at": cause.decided_at,
        "position": cause.position,
        "allowed_con_ids": contracts.allowed,
        "restricted_con_ids": contracts.restricted,
        "allow_short": strategy is not None and strategy.allow_short,
        "limits": cause.limits,
        "source": cause.source,
        "intended": cause.intended,
        "must_be_approved": cause.must_be_approved,
    }


def _market_fields(market: Market, account: Account) -> dict[str, Any]:
    quote, summary = market.quote, market.summary
    return {
        "bid": quote.bid if quote else None,
        "ask": quote.ask if quote else None,
        "close": quote.close if quote else None,
        "quote_at": quote.time if quote else None,
        "halted": quote.halted if quote else False,
        "market_now": market.now,
        "equity": summary.net_liquidation if summary else None,
        "available_funds": summary.available_funds if summary else None,
        "desk": desk_state(market.status, _gated(account)),
    }


def _priced(terms: Terms, cause: Cause, price: Decimal | None) -> Terms:
    """An analyst's prices go to the nearest tick; a limit that was left open is set at the collar."""
    tick = cause.instrument.tick
    if tick is None or not tick > 0:
        return terms
    if cause.source == "decision":
        stop, target = _on_grid(terms.stop_price, tick), _on_grid(terms.target_price, tick)
        terms = replace(terms, stop_price=stop, target_price=target)
    if terms.order_type == "LMT" and terms.limit_price is None and price is not None:
        terms = replace(terms, limit_price=_collared(price, terms.side, cause.limits.price_collar, tick))
    return terms


def _on_grid(price: Decimal | None, tick: Decimal) -> Decimal | None:
    return to_tick(price, tick) if price is not None and price.is_finite() else price


def _collared(price: Decimal, side: str, collar: Decimal, tick: Decimal) -> Decimal:
    """The marketable limit: the quote plus or minus the collar, rounded towards the quote."""
    buys = side == "BUY"
    return to_tick(price * (1 + collar if buys else 1 - collar), tick, up=not buys)


def _size(cause: Cause, terms: Terms, market: Market, rows: Rows, flying: Decimal) -> Size:
    if terms.quantity is not None:
        return Size(terms.quantity, "given")
    limit, stop, lot, summary = terms.limit_price, terms.stop_price, cause.instrument.lot, market.summary
    if limit is None or stop is None or lot is None or summary is None or summary.available_funds is None:
        return Size(ZERO, "unknown")
    stake = rows.stake(cause.instrument)
    left = summary.available_funds - stake.reserved - flying
    room = Room(summary.net_liquidation, left, stake.total, stake.instrument)
    return size_entry(limit=limit, stop=stop, lot=lot, room=room, limits=cause.limits)


def judge_again(
    proposal: Proposal, account: Account, *, approval: ApprovalFacts | None = None, group: str = ""
) -> list[Verdict]:
    """Every control's word at the moment of sending; call it under the account's lock, in the intent's transaction.

    What others may have changed since is read anew: the ledger, the funds in flight, the strategy with its limits and
    contracts, the Halt. The market is the proposal's own, and its age is judged once more. `group` names rows that
    were written for this very order already, `approval` what persons have said to it.
    """
    strategy = proposal.strategy
    if strategy is not None:
        strategy = Strategy.objects.select_related("risk_profile").get(pk=strategy.pk)
    market_now, group = proposal.market_now, group or proposal.group
    rows = rows_read(account, strategy, proposal.instrument, market_now, proposal.day_began, group)
    ledger = ledger_read(
        account,
        strategy,
        proposal.instrument,
        proposal.side,
        proposal.order_type,
        proposal.quantity,
        proposal.limit_price,
        market_now,
        proposal.day_began,
        group=group,
        approval=approval,
        rows=rows,
    )
    limits = limits_of(strategy)
    contracts = listed(limits, strategy)
    now = replace(
        proposal,
        strategy=strategy,
        limits=limits,
        allowed_con_ids=contracts.allowed,
        restricted_con_ids=contracts.restricted,
        allow_short=strategy is not None and strategy.allow_short,
        ledger=ledger,
        funds_in_flight=rows.bought_since(market_now - FUNDS_LAG),
        desk=desk_state(proposal.desk.status, _gated(account)),
        sending=True,
    )
    return judge(now)


def _gated(account: Account) -> str:
    """The account that the gates are asked about: a shadow ledger trades nothing of its own."""
    return "" if account.kind == AccountKind.SHADOW else account.pk
