"""What the history tells of an order, a trade and a decision; numbers as text, times with their zone, null for none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Min

from autotrader.core.live.documents import EventDocument
from trading.models import RiskVerdict
from trading.selectors.history import cause_of

Row = Mapping[str, Any]
Words = tuple[int, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class OrderDocument:
    """An order of the past or of now: `state` is ours, `broker_status` the broker's last word."""

    order_ref: str
    perm_id: int | None
    account: str
    strategy: str | None
    symbol: str
    role: str
    group: str
    parent: str | None
    side: str
    quantity: str
    order_type: str
    limit_price: str | None
    stop_price: str | None
    tif: str
    state: str
    broker_status: str
    filled: str
    avg_price: str | None
    reasons: list[str]
    decision: int | None
    request: int | None
    correlation_id: str
    version: int
    created_at: datetime
    market_at: datetime
    cancel_requested_at: datetime | None
    sending_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class FillDocument:
    """One execution; one that a correction replaced is `superseded`. `time` is the exchange's, `at` ours."""

    exec_id: str
    side: str
    quantity: str
    price: str
    commission: str | None
    realized_pnl: str | None
    superseded: bool
    trade: int | None
    time: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class ChangeDocument:
    """One change or cancel of an order."""

    kind: str
    revision: int
    state: str
    actor: str
    reason: str
    limit_price: str | None
    stop_price: str | None
    quantity: str | None
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class OrderStory:
    """One order with everything that became of it; `events` is null for who may not see the log, else the newest."""

    order: OrderDocument
    fills: list[FillDocument]
    changes: list[ChangeDocument]
    events: list[EventDocument] | None


@dataclass(frozen=True, slots=True)
class TradeDocument:
    """A round trip; `pnl` is realised, after the commissions of both sides, and null while nothing is."""

    id: int
    account: str
    strategy: str | None
    symbol: str
    decision: int | None
    side: str
    state: str
    quantity: str
    open_quantity: str
    entry_price: str
    exit_price: str | None
    commission: str
    pnl: str | None
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class VerdictsDocument:
    """What the controls said of a decision: how many allowed it, and the codes of those that refused."""

    allowed: int
    refused: list[str]


@dataclass(frozen=True, slots=True)
class DecisionDocument:
    """Buy, sell or hold: `claimed_price` is the analyst's, `price` the market's from which the ratios are computed."""

    id: int
    execution: int
    cycle: int
    correlation_id: str
    account: str
    strategy: str
    symbol: str
    type: str
    purpose: str
    state: str
    decided_by: str
    strategy_used: str
    claimed_price: str | None
    price: str | None
    bid: str | None
    ask: str | None
    quote_at: datetime | None
    target_price: str | None
    stop_price: str | None
    limit_price: str | None
    reward_ratio: str | None
    profit_margin: str | None
    position_quantity: str
    quantity: str | None
    confidence: float | None
    rationale: str
    evidence: list[Any]
    reasons: list[Any]
    verdicts: VerdictsDocument
    at: datetime
    market_at: datetime


@dataclass(frozen=True, slots=True)
class AnalysisDocument:
    """One answer about one chart; `timeframe` 0 is the consolidation."""

    timeframe: int
    period: str
    bar_size: str
    direction: str
    strength: float
    summary: str
    facts: dict[str, Any]
    decided_by: str


@dataclass(frozen=True, slots=True)
class VerdictDocument:
    """One control's word."""

    rule: str
    allowed: bool
    code: str
    message: str
    values: dict[str, Any]
    at: datetime


def text(value: Decimal | None) -> str | None:
    """A number as people write it."""
    return None if value is None else f"{value.normalize():f}"


def order_document(row: Row) -> dict[str, Any]:
    """An `OrderDocument` of a row of `history.orders()`."""
    return {
        "order_ref": row["order_ref"],
        "perm_id": row["perm_id"],
        "account": row["account_id"],
        "strategy": row["strategy__name"],
        "symbol": row["instrument__symbol"],
        "role": row["role"],
        "group": row["group"],
        "parent": row["parent__order_ref"],
        "side": row["side"],
        "quantity": text(row["quantity"]),
        "order_type": row["order_type"],
        "limit_price": text(row["limit_price"]),
        "stop_price": text(row["stop_price"]),
        "tif": row["tif"],
        "state": row["state"],
        "broker_status": row["broker_status"],
        "filled": text(row["filled_quantity"]),
        "avg_price": text(row["average_price"]),
        "reasons": [said for said in (row["reason"], row["broker_detail"]) if said],
        "decision": row["decision_id"],
        "request": row["request_id"],
        "correlation_id": cause_of(row),
        "version": row["version"],
        "created_at": row["created_at"],
        "market_at": row["market_at"],
        "cancel_requested_at": row["cancel_requested_at"],
        "sending_at": row["sending_at"],
        "expires_at": row["expires_at"],
        "ended_at": row["ended_at"],
    }


def trade_document(row: Row) -> dict[str, Any]:
    """A `TradeDocument` of a row of `history.TRADE_COLUMNS`."""
    return {
        "id": row["id"],
        "account": row["account_id"],
        "strategy": row["strategy__name"],
        "symbol": row["instrument__symbol"],
        "decision": row["decision_id"],
        "side": row["side"],
        "state": row["state"],
        "quantity": text(row["quantity"]),
        "open_quantity": text(row["open_quantity"]),
        "entry_price": text(row["entry_price"]),
        "exit_price": text(row["exit_price"]),
        "commission": text(row["commission"]),
        "pnl": text(row["pnl"]),
        "opened_at": row["opened_at"],
        "closed_at": row["closed_at"],
    }


def decision_documents(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """`DecisionDocument`s of rows of `history.decisions()`, with the controls' words in one query for all."""
    return [
        decision_document(row, words) for row, words in zip(rows, words_on([row["id"] for row in rows]), strict=True)
    ]


def words_on(decisions: Sequence[int]) -> list[Words]:
    """For each of these decisions how many controls allowed it, and the codes of those that refused."""
    allowed: defaultdict[int, int] = defaultdict(int)
    refused: defaultdict[int, list[str]] = defaultdict(list)
    said = RiskVerdict.objects.filter(decision__in=decisions).values_list("decision", "allowed", "code")
    for key, is_allowed, code, count, _ in said.annotate(Count("pk"), first=Min("pk")).order_by("first"):
        if is_allowed:
            allowed[key] += count
        else:
            refused[key] += [code] * count
    return [(allowed[key], tuple(refused[key])) for key in decisions]


def decision_document(row: Row, words: Words) -> dict[str, Any]:
    """A `DecisionDocument` of a row of `history.decisions()` and of what the controls said."""
    return {
        "id": row["id"],
        "execution": row["execution_id"],
        "cycle": row["execution__cycle_id"],
        "correlation_id": f"{row['execution__cycle__correlation_id']}.{row['execution_id']}",
        "account": row["account_id"],
        "strategy": row["strategy__name"],
        "symbol": row["instrument__symbol"],
        "type": row["type"],
        "purpose": row["purpose"],
        "state": row["state"],
        "decided_by": row["decided_by"],
        "strategy_used": row["strategy_used"],
        "claimed_price": text(row["claimed_price"]),
        "price": text(row["price"]),
        "bid": text(row["bid"]),
        "ask": text(row["ask"]),
        "quote_at": row["quote_at"],
        "target_price": text(row["target_price"]),
        "stop_price": text(row["stop_price"]),
        "limit_price": text(row["limit_price"]),
        "reward_ratio": text(row["reward_ratio"]),
        "profit_margin": text(row["profit_margin"]),
        "position_quantity": text(row["position_quantity"]),
        "quantity": text(row["quantity"]),
        "confidence": row["confidence"],
        "rationale": row["rationale"],
        "evidence": row["evidence"],
        "reasons": row["reasons"],
        "verdicts": {"allowed": words[0], "refused": list(words[1])},
        "at": row["at"],
        "market_at": row["market_at"],
    }
