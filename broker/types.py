"""What crosses the broker's seam: frozen dataclasses; no Django, no client library."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
TimeArray = npt.NDArray[np.datetime64]
Side = Literal["BUY", "SELL"]
Role = Literal["entry", "stop", "target", "exit"]
OrderType = Literal["MKT", "LMT", "STP"]


# Requests


@dataclass(frozen=True, slots=True)
class Nothing:
    """A request without arguments."""


@dataclass(frozen=True, slots=True)
class ContractQuery:
    """Find one contract by symbol."""

    symbol: str
    sec_type: str = "STK"
    exchange: str = "SMART"
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class BarsQuery:
    """Historical bars: `period` as in "2 Y", `bar_size` as in "1 day", "1 hour", "1 week"."""

    con_id: int
    bar_size: str
    period: str
    use_rth: bool = True


@dataclass(frozen=True, slots=True)
class ConId:
    """One contract."""

    con_id: int


@dataclass(frozen=True, slots=True)
class OrderLeg:
    """One order of a submission. `order_ref` is ours, unique for ever, at most 20 ASCII characters.

    `parent_ref` names the leg it waits for; `oca_ref` an existing order whose OCA group it joins.
    """

    order_ref: str
    role: Role
    side: Side
    quantity: Decimal
    order_type: OrderType
    tif: Literal["DAY", "GTC"]
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    parent_ref: str = ""
    oca_ref: str = ""


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """A bracket (entry, stop, target) or a single order; all legs leave together or none does.

    `reduces` is true where the order can only reduce a position; `deadline` is the system's time after which
    nothing may leave any more; `intent_hash` is kept beside each Submission.
    """

    account: str
    con_id: int
    legs: tuple[OrderLeg, ...]
    reduces: bool
    deadline: datetime
    intent_hash: str


@dataclass(frozen=True, slots=True)
class ModifyOrder:
    """A price-only change of a working order; `revision` starts at 1 and is never used twice."""

    account: str
    order_ref: str
    revision: int
    limit_price: Decimal | None
    stop_price: Decimal | None
    reduces: bool
    deadline: datetime


@dataclass(frozen=True, slots=True)
class OrderRef:
    """One order by our reference."""

    account: str
    order_ref: str


# Answers


@dataclass(frozen=True, slots=True)
class Contract:
    """A tradable contract as the broker describes it; `liquid_hours` are regular sessions, aware UTC."""

    con_id: int
    symbol: str
    sec_type: str
    exchange: str
    primary_exchange: str
    currency: str
    long_name: str
    min_tick: Decimal
    lot_size: Decimal
    time_zone: str
    liquid_hours: tuple[SessionHours, ...]
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class SessionHours:
    """One day's regular session; closed days are absent."""

    day: date
    open: datetime
    close: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """OHLCV arrays of one length, oldest first. `time` is the bar's start, datetime64[s] in UTC (midnight of the
    session's date for daily and larger bars); prices in the contract's currency, volume in shares."""

    con_id: int
    symbol: str
    bar_size: str
    period: str
    time: TimeArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    as_of: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Quote:
    """Top of book; None, never 0 or -1, where the broker sent no such number. `time` is the market's time."""

    con_id: int
    symbol: str
    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None
    bid_size: Decimal | None
    ask_size: Decimal | None
    volume: Decimal | None
    close: Decimal | None
    time: datetime
    feed: Literal["live", "delayed", "frozen"]


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """What the owner knows of its connection. `ready` = connected, replayed and reconciled.

    `market_now` is the gateway's clock where it declares a set clock (`clock` "set"), else the system's.
    """

    ready: bool
    connected: bool
    reason: str
    account: str
    accounts: tuple[str, ...]
    clock: Literal["system", "set"]
    market_now: datetime
    since: datetime
    owner: str


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """The account's values in its base currency; None where the broker has not said."""

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


@dataclass(frozen=True, slots=True)
class Position:
    """A holding at the broker; negative quantity = short. Average cost includes commissions, as the broker keeps it."""

    account: str
    con_id: int
    symbol: str
    quantity: Decimal
    average_cost: Decimal
    market_price: Decimal | None
    market_value: Decimal | None
    unrealized_pnl: Decimal | None
    realized_pnl: Decimal | None


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What the broker says of one order. `status` is the broker's own word; `order_ref` is empty for manual orders."""

    account: str
    order_ref: str
    perm_id: int
    client_id: int
    con_id: int
    symbol: str
    side: str
    quantity: Decimal
    order_type: str
    limit_price: Decimal | None
    stop_price: Decimal | None
    tif: str
    status: str
    filled: Decimal
    remaining: Decimal
    average_price: Decimal | None
    why_held: str
    parent_perm_id: int
    oca_group: str
    time: datetime
    completed: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ExecutionReport:
    """One fill. A correction has the same exec_id but for a higher number after the last dot."""

    account: str
    order_ref: str
    perm_id: int
    exec_id: str
    con_id: int
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    time: datetime
    exchange: str
    commission: Decimal | None = None
    commission_currency: str = ""
    realized_pnl: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CommissionReport:
    """The cost of one fill; `realized_pnl` is None where it opened or added."""

    account: str
    order_ref: str
    exec_id: str
    commission: Decimal
    currency: str
    realized_pnl: Decimal | None
    time: datetime


@dataclass(frozen=True, slots=True)
class OrderMessage:
    """An error or notice of the broker about one order (201, 202, 110, 10147 ...)."""

    account: str
    order_ref: str
    perm_id: int
    code: int
    message: str
    time: datetime


@dataclass(frozen=True, slots=True)
class SubmissionReport:
    """What our own record says of one frame: SENT (it may have left) or VOID (it never will).

    `terms` of a modify: the prices asked for.
    """

    account: str
    order_ref: str
    revision: int
    state: Literal["SENT", "VOID"]
    time: datetime
    detail: str = ""
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class OrderMissing:
    """Reconcile: open orders, completed orders and executions were all answered and none knows this order.

    `proven` is true where that proves it never was at the broker: then it is ABSENT, else UNKNOWN. With a `revision`
    it is that price change which no answer shows.
    """

    account: str
    order_ref: str
    proven: bool
    detail: str
    time: datetime
    revision: int = 0


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """The connection to the broker changed."""

    account: str
    state: Literal["CONNECTED", "READY", "LOST"]
    clock: Literal["system", "set"]
    market_now: datetime
    detail: str
    time: datetime


BrokerEvent = (
    OrderReport
    | ExecutionReport
    | CommissionReport
    | OrderMessage
    | SubmissionReport
    | OrderMissing
    | AccountSummary
    | ConnectionReport
)


@dataclass(frozen=True, slots=True)
class LegOutcome:
    """What became of one leg of a submission, as far as this call knows; evidence tells the rest."""

    order_ref: str
    revision: int
    state: Literal["SENT", "VOID"]
    repeated: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PlaceOutcome:
    """One outcome a leg; `repeated` legs were recorded before and nothing was sent for them now."""

    legs: tuple[LegOutcome, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class UnresolvedIntent:
    """An order of ours, or a price change of it, whose life at the broker is not over, for reconcile to look up."""

    account: str
    order_ref: str
    state: str
    since: datetime
    revision: int = 0
