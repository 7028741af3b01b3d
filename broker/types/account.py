"""The account: values, holdings, profit and loss.

`received_at` is when the owner of the connection received a number from the broker, by the system's clock; a number
that the broker sends by itself may be minutes old. None where the broker has not sent it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class CurrencyCash:
    """Cash in one currency; `rate` is what one unit of it is worth in the base currency."""

    currency: str
    cash: Decimal
    rate: Decimal | None


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """The account's values in its base currency; None where the broker has not said.

    TWS sends them every three minutes, and on a change of a position: `received_at` is when it did last.
    `account_time` is the time of day that TWS gives that batch, as it writes it: by its own zone, which it does not
    tell.
    """

    account: str
    currency: str
    net_liquidation: Decimal | None
    cash: Decimal | None
    buying_power: Decimal | None
    available_funds: Decimal | None
    gross_position_value: Decimal | None
    init_margin: Decimal | None
    maint_margin: Decimal | None
    realized_pnl: Decimal | None
    unrealized_pnl: Decimal | None
    time: datetime
    excess_liquidity: Decimal | None = None
    equity_with_loan: Decimal | None = None
    cash_by_currency: tuple[CurrencyCash, ...] = ()
    received_at: datetime | None = None
    account_time: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """A holding at the broker; negative quantity = short. Average cost is one unit's and includes commissions, as the
    broker keeps it (for a future: times its multiplier). Prices and values are in the contract's `currency`; they come
    with the account's values, at `priced_at`, while the quantity is asked for anew."""

    account: str
    con_id: int
    symbol: str
    quantity: Decimal
    average_cost: Decimal
    market_price: Decimal | None
    market_value: Decimal | None
    unrealized_pnl: Decimal | None
    realized_pnl: Decimal | None
    sec_type: str = "STK"
    currency: str = "USD"
    received_at: datetime | None = None
    priced_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PositionPnl:
    """The result of one holding; None where the broker has not said."""

    con_id: int
    symbol: str
    quantity: Decimal
    daily: Decimal | None
    unrealized: Decimal | None
    realized: Decimal | None
    market_value: Decimal | None
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ProfitAndLoss:
    """The account's result in its base currency: of today, open, and closed today; and that of each holding.

    The broker sends each when it changes; `received_at` is when it sent the account's last.
    """

    account: str
    daily: Decimal | None
    unrealized: Decimal | None
    realized: Decimal | None
    positions: tuple[PositionPnl, ...]
    time: datetime
    received_at: datetime | None = None
