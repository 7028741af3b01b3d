"""What the matching engine and the wire sessions say to each other: frozen dataclasses and one protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from .feeds import Feeds
    from .history import History

OrderStatus = Literal["Parked", "PreSubmitted", "Submitted", "Filled", "Cancelled", "Inactive"]
SecType = Literal["STK", "FUT", "OPT", "CASH", "IND", "CRYPTO"]
HoursKind = Literal["us_equity", "cme", "forex", "always", "xetra", "london", "toronto", "tokyo"]


@dataclass(frozen=True, slots=True)
class SymbolSpec:
    """One contract of the universe. `multiplier`: units of the underlying in one contract.

    `can_trade` is false for what only resolves (IND, OPT, CRYPTO). `hours` names the calendar its sessions follow.
    `margin_rate`: initial margin as a share of the value; `margin_fixed`: of a future, in its currency, a contract.
    `shortable`: shares that can be borrowed; 0 holds a short sale ("locate"). `increments`: the market rule, steps of
    price from a low edge upward.
    """

    con_id: int
    symbol: str
    long_name: str
    primary_exchange: str
    stock_type: Literal["", "COMMON", "ETF"] = "COMMON"
    sec_type: SecType = "STK"
    currency: str = "USD"
    min_tick: Decimal = Decimal("0.01")
    time_zone: str = "US/Eastern"
    multiplier: Decimal = Decimal(1)
    expiry: str = ""
    contract_month: str = ""
    strike: Decimal | None = None
    right: Literal["", "C", "P"] = ""
    local_symbol: str = ""
    trading_class: str = ""
    exchanges: tuple[str, ...] = ()
    market_rule: int = 26
    under_con_id: int = 0
    under_symbol: str = ""
    hours: HoursKind = "us_equity"
    can_trade: bool = True
    margin_fixed: Decimal | None = None
    shortable: int = 10_000_000
    industry: str = ""
    category: str = ""

    @property
    def market(self) -> str:
        """The name of its prices in the price source: one a contract; a stock's is its symbol."""
        return self.symbol if self.sec_type == "STK" else f"{self.local_symbol or self.symbol}.{self.sec_type}"


@dataclass(frozen=True, slots=True)
class ContractFilter:
    """What a request says about a contract; empty text, 0 and None mean "any"."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    expiry: str = ""
    strike: Decimal | None = None
    right: str = ""
    multiplier: str = ""
    exchange: str = ""
    primary_exchange: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""
    include_expired: bool = False


@dataclass(frozen=True, slots=True)
class SessionHours:
    """One regular session of a contract; `open` and `close` are aware UTC, None on a closed day."""

    day: date
    open: datetime | None
    close: datetime | None


@dataclass(frozen=True, slots=True)
class Bar:
    """One OHLCV bar; `start` is aware UTC, `day` the session it belongs to.

    Prices in the contract's currency, adjusted as of the clock.
    """

    start: datetime
    end: datetime
    day: date
    open: float
    high: float
    low: float
    close: float
    volume: float
    wap: float
    count: int


@dataclass(frozen=True, slots=True)
class Quote:
    """Top of book at `time`; None where the market has no such price."""

    time: datetime
    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None
    bid_size: int
    ask_size: int
    last_size: int
    volume: int
    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    prior_close: Decimal | None


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What a client asked for in one placeOrder frame. `extra` keeps every other wire field by name, to be echoed.

    `aux_price` is the stop of STP and STP LMT and the trailing amount of TRAIL; times are aware UTC.
    """

    client_id: int
    order_id: int
    con_id: int
    symbol: str
    action: str
    quantity: Decimal
    order_type: str
    limit_price: Decimal | None = None
    aux_price: Decimal | None = None
    tif: str = "DAY"
    account: str = ""
    order_ref: str = ""
    oca_group: str = ""
    oca_type: int = 0
    parent_id: int = 0
    transmit: bool = True
    outside_rth: bool = False
    what_if: bool = False
    trail_percent: Decimal | None = None
    trail_stop_price: Decimal | None = None
    limit_offset: Decimal | None = None
    good_till: datetime | None = None
    good_after: datetime | None = None
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as the gateway sees it now; prices None until there is one."""

    terms: OrderTerms
    perm_id: int
    parent_perm_id: int
    status: OrderStatus
    filled: Decimal
    remaining: Decimal
    avg_fill_price: Decimal | None
    last_fill_price: Decimal | None
    why_held: str
    placed_at: datetime
    completed_at: datetime | None = None
    completed_status: str = ""


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill: `side` BOT or SLD; `cum_qty` and `avg_price` are the order's running totals after it."""

    exec_id: str
    client_id: int
    order_id: int
    perm_id: int
    con_id: int
    symbol: str
    time: datetime
    account: str
    exchange: str
    side: Literal["BOT", "SLD"]
    shares: Decimal
    price: Decimal
    cum_qty: Decimal
    avg_price: Decimal
    order_ref: str
    last_liquidity: int


@dataclass(frozen=True, slots=True)
class Commission:
    """The cost of one execution; `realized_pnl` is None where it opened or added to a position."""

    exec_id: str
    commission: Decimal
    currency: str
    realized_pnl: Decimal | None


@dataclass(frozen=True, slots=True)
class PositionView:
    """One holding: quantity is negative when short; average cost per share includes commissions, as TWS reports it."""

    account: str
    con_id: int
    symbol: str
    quantity: Decimal
    avg_cost: Decimal
    market_price: Decimal
    market_value: Decimal
    unrealized_pnl: Decimal
    realized_pnl: Decimal


@dataclass(frozen=True, slots=True)
class AccountValue:
    """One row of updateAccountValue."""

    key: str
    value: str
    currency: str


@dataclass(frozen=True, slots=True)
class Preview:
    """The answer to a what-if order: margins in base currency before, change, after; the change that filling it now,
    at bid and ask, would make, to the cent."""

    init_margin: tuple[Decimal, Decimal, Decimal]
    maint_margin: tuple[Decimal, Decimal, Decimal]
    equity_with_loan: tuple[Decimal, Decimal, Decimal]
    commission: Decimal


# What the engine tells the sessions. A session decides which client gets which frame.
@dataclass(frozen=True, slots=True)
class OrderChanged:
    """openOrder + orderStatus are due for this order."""

    order: OrderView


@dataclass(frozen=True, slots=True)
class Executed:
    """execDetails (reqId -1) is due."""

    order: OrderView
    execution: Execution


@dataclass(frozen=True, slots=True)
class CommissionReported:
    """commissionReport is due, after its execution."""

    client_id: int
    commission: Commission


@dataclass(frozen=True, slots=True)
class OrderRefused:
    """An error frame for an order (201, 202, 110, 321, 10147 ...)."""

    client_id: int
    order_id: int
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """Positions or cash changed: subscribers of account values, portfolio and positions get an update."""

    account: str
    con_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ClockMoved:
    """Of a clock that is set or goes its own way: what follows happened at this time."""

    at: datetime


@dataclass(frozen=True, slots=True)
class OrderBound:
    """A manual order has an order id of client 0 from now on."""

    perm_id: int
    client_id: int
    order_id: int


EngineEvent = OrderChanged | Executed | CommissionReported | OrderRefused | AccountChanged | ClockMoved | OrderBound
Listener = Callable[[EngineEvent], None]


class GatewayError(Exception):
    """A request the gateway refuses: `code` and `message` go on the wire as they stand."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Exchange(Protocol):
    """All that a wire session may ask of the simulated exchange; called from the gateway's one event loop only."""

    account: str
    base_currency: str
    clock_is_set: bool
    history: History
    feeds: Feeds

    def now(self) -> datetime: ...
    @property
    def speed(self) -> float:
        """Market seconds a second; 0 where time stands."""

    def next_order_id(self, client_id: int) -> int: ...
    def note_order_id(self, client_id: int, order_id: int) -> None:
        """Remember that this client was shown or used `order_id`: its next id is higher, also after a restart."""

    def find(self, wanted: ContractFilter) -> Sequence[SymbolSpec]:
        """The matching contracts; empty = error 200."""

    def search(self, pattern: str) -> Sequence[SymbolSpec]:
        """Contracts whose symbol begins with the pattern, then those with a word of the name that does; at most 16."""

    def listed(self) -> Sequence[SymbolSpec]:
        """Every contract that never expires."""

    def sessions(self, con_id: int, days: int) -> Sequence[SessionHours]:
        """Today (by the gateway's clock) and the following days."""

    def trading_sessions(self, con_id: int, days: int) -> Sequence[SessionHours]:
        """As `sessions`, but the whole of each day's trading: outside regular hours too."""

    def bars(
        self,
        con_id: int,
        *,
        bar_size: str,
        duration: str,
        end: datetime | None,
        use_rth: bool,
        what: str = "TRADES",
    ) -> Sequence[Bar]:
        """Bars that ended at or before min(end, now), oldest first, split-adjusted as of now.

        The bar in progress is included only by a running clock. `bar_size` and `duration` as on the wire ("1 day",
        "5 secs", "1 month"; "2 Y", "500 D"); `what` TRADES, MIDPOINT, BID, ASK, BID_ASK, ADJUSTED_LAST ...
        Raises GatewayError(321 or 162).
        """

    def quote(self, con_id: int, *, delayed: bool = False) -> Quote:
        """The top of the book now, or with `delayed` as it was fifteen minutes ago."""

    def shortable(self, con_id: int) -> int:
        """Shares that can be borrowed."""

    def is_open(self, con_id: int) -> bool:
        """Whether the contract trades now, in regular hours or outside them."""

    def rate(self, currency: str) -> Decimal:
        """What one unit of `currency` is worth in base currency. Raises GatewayError 201 where nobody knows."""

    def submit(self, terms: OrderTerms) -> None:
        """Take a new order or a modification; the outcome comes as events, in order, before this returns or later."""

    def preview(self, terms: OrderTerms) -> Preview: ...
    def cancel(self, client_id: int, order_id: int) -> None: ...
    def cancel_all(self) -> None: ...
    def bind_manual(self, *, now: bool, later: bool | None = None) -> None:
        """Give client 0 the manual orders there are (`now`), and those to come (`later`; None = as before)."""

    def has_open_orders(self) -> bool:
        """Whether any order works."""

    def open_orders(self, client_id: int | None) -> Sequence[OrderView]:
        """Working orders of one client, or of all with None; never parked ones."""

    def completed_orders(self) -> Sequence[OrderView]: ...
    def executions(self) -> Sequence[tuple[Execution, Commission]]:
        """Executions of the current day of the gateway's clock, oldest first."""

    def positions(self) -> Sequence[PositionView]: ...
    def account_values(self) -> Sequence[AccountValue]: ...
