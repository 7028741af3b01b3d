"""What the account holds: the broker's word beside our records, by contract and by strategy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from broker import types
from trading.models import Instrument, Trade
from trading.selectors.positions import booked

ZERO = Decimal(0)
NOT_KNOWN = "none"


@dataclass(frozen=True, slots=True)
class Line:
    """One contract: the broker's position, and what our fills come to. `differs`: they are not the same.

    `position` is None where the broker holds nothing, or was not asked.
    """

    symbol: str
    con_id: int
    position: types.Position | None
    ours: Decimal
    differs: bool


@dataclass(frozen=True, slots=True)
class Holding:
    """One open trade by our records; negative quantity = short. `open_result` is at the broker's price of now, before
    the commissions, and None where there is no such price."""

    trade_id: int
    symbol: str
    currency: str
    strategy: str
    quantity: Decimal
    entry_price: Decimal
    opened_at: datetime
    decision_id: int | None
    open_result: Decimal | None


@dataclass(frozen=True, slots=True)
class Bar:
    """The value of one position; `width` is in per cent of the greatest one of its currency, `part` a fraction of the
    account's equity, None in another currency than the account's."""

    symbol: str
    currency: str
    value: Decimal
    width: float
    part: Decimal | None


@dataclass(frozen=True, slots=True)
class Portfolio:
    """`not_valued` names the positions of which the broker tells no value; no bar contains them."""

    lines: list[Line]
    holdings: list[Holding]
    bars: list[Bar]
    not_valued: list[str]

    @property
    def differences(self) -> int:
        """In how many contracts the broker and our records differ."""
        return sum(line.differs for line in self.lines)


def portfolio(
    account_id: str, live: Sequence[types.Position] | None, summary: types.AccountSummary | None
) -> Portfolio:
    """The account's holdings; `live` None: the broker was not reached, and nothing is compared with it."""
    ours = booked(account_id)
    held = {position.con_id: position for position in live or () if position.account == account_id}
    valued = [position for position in held.values() if position.market_value is not None and position.quantity]
    return Portfolio(
        lines=_lines(held, ours, compared=live is not None),
        holdings=_holdings(account_id, held),
        bars=_bars(valued, summary),
        not_valued=sorted(row.symbol for row in held.values() if row.quantity and row.market_value is None),
    )


def _lines(held: dict[int, types.Position], ours: dict[int, Decimal], *, compared: bool) -> list[Line]:
    wanted = {key for key, quantity in ours.items() if quantity} | {key for key, row in held.items() if row.quantity}
    names = dict(Instrument.objects.filter(con_id__in=sorted(wanted)).values_list("con_id", "symbol"))
    rows = []
    for key in wanted:
        position, own = held.get(key), ours.get(key, ZERO)
        theirs = position.quantity if position else ZERO
        symbol = position.symbol if position else names.get(key, f"contract {key}")
        rows.append(Line(symbol, key, position, own, compared and theirs != own))
    return sorted(rows, key=lambda line: (line.symbol, line.con_id))


def _holdings(account_id: str, held: dict[int, types.Position]) -> list[Holding]:
    trades = Trade.objects.filter(account=account_id, state="OPEN").select_related("instrument", "strategy")
    return [
        Holding(
            trade_id=trade.pk,
            symbol=trade.instrument.symbol,
            currency=trade.instrument.currency,
            strategy=trade.strategy.name if trade.strategy else NOT_KNOWN,
            quantity=_signed(trade),
            entry_price=trade.entry_price,
            opened_at=trade.opened_at,
            decision_id=trade.decision_id,
            open_result=_open_result(trade, held.get(trade.instrument.con_id or 0)),
        )
        for trade in trades.order_by("instrument__symbol", "id")
    ]


def _signed(trade: Trade) -> Decimal:
    quantity: Decimal = trade.open_quantity
    return quantity if trade.side == "long" else -quantity


def _open_result(trade: Trade, position: types.Position | None) -> Decimal | None:
    """Of shares only: what a future or an option is worth needs its multiplier."""
    if position is None or position.market_price is None or position.sec_type not in ("STK", "ETF"):
        return None
    entry: Decimal = trade.entry_price
    return (position.market_price - entry) * _signed(trade)


def _bars(positions: Sequence[types.Position], summary: types.AccountSummary | None) -> list[Bar]:
    greatest: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    for row in positions:
        greatest[row.currency] = max(greatest[row.currency], abs(row.market_value or ZERO))
    bars = []
    for row in sorted(positions, key=lambda row: (row.currency, -abs(row.market_value or ZERO))):
        value, most = row.market_value or ZERO, greatest[row.currency]
        width = float(100 * abs(value) / most) if most else 0.0
        bars.append(Bar(row.symbol, row.currency, value, round(width, 1), _part(value, row.currency, summary)))
    return bars


def _part(value: Decimal, currency: str, summary: types.AccountSummary | None) -> Decimal | None:
    if summary is None or summary.currency != currency or not summary.net_liquidation or summary.net_liquidation < 0:
        return None
    return value / summary.net_liquidation
