"""What the broker said: the evidence that flows upward, and what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from broker.types.account import AccountSummary
from broker.types.orders import Side


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What the broker says of one order. `status` is the broker's own word; `order_ref` is empty for manual orders.

    `origin`: sent by our client id, by another client, by hand in TWS, or empty where the broker does not say (a
    finished order names no client). `average_price` of a finished order is that of the fills which the broker still
    lists, today's; as evidence, where the fills are told beside it, and without any fill it is None.
    """

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
    origin: Literal["ours", "other", "manual", ""] = ""
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None
    good_till: str = ""
    outside_rth: bool = False


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


@dataclass(frozen=True, slots=True)
class PositionMismatch:
    """Reconcile: what the broker holds of a contract and the sum of our fills differ, or agree again.

    Told where two complete answers in a row show the same difference, which no execution explains. `quantity` is the
    broker's, `booked` ours; negative is short.
    """

    account: str
    con_id: int
    symbol: str
    quantity: Decimal
    booked: Decimal
    time: datetime


@dataclass(frozen=True, slots=True)
class OrderDoubled:
    """Reconcile: more orders work under one reference of ours than should, and a cancel leaves now.

    `perm_ids`: those that work at this moment. `attempt` counts the cancels of this reference. `given_up`: no more
    cancels will leave, and a person must end what is too much.
    """

    account: str
    order_ref: str
    perm_ids: tuple[int, ...]
    attempt: int
    time: datetime
    detail: str
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class CancelsReport:
    """The kill switch's cancels: their end is proven (`done`), or still is not after a minute.

    `working` names the orders in doubt; `asked` and `confirmed` count.
    """

    account: str
    run: str
    cancel: Literal["", "entries", "all"]
    asked: int
    confirmed: int
    working: tuple[str, ...]
    done: bool
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
    | PositionMismatch
    | OrderDoubled
    | CancelsReport
)


@dataclass(frozen=True, slots=True)
class UnresolvedIntent:
    """An order of ours, or a price change of it, whose life at the broker is not over, for reconcile to look up."""

    account: str
    order_ref: str
    state: str
    since: datetime
    revision: int = 0
