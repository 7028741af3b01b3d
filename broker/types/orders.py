"""Orders: what is asked of the broker, and what is known at once of the asking."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

Side = Literal["BUY", "SELL"]
Role = Literal["entry", "stop", "target", "exit"]
OrderType = Literal["MKT", "LMT", "STP", "STP LMT", "TRAIL", "MOC", "LOC"]
TimeInForce = Literal["DAY", "GTC", "IOC", "GTD", "OPG"]


@dataclass(frozen=True, slots=True)
class OrderLeg:
    """One order of a submission. `order_ref` is ours, unique for ever, at most 20 ASCII characters.

    `limit_price` of LMT, STP LMT, LOC; `stop_price` of STP, STP LMT, and the first stop of TRAIL if not the broker's;
    TRAIL has exactly one of `trail_amount` (in price) and `trail_percent`. `good_till` (aware) belongs to GTD.
    OPG with LMT or MKT trades in the opening auction. `parent_ref` names the leg it waits for; `oca_ref` an existing
    order whose OCA group it joins; `oca_group` opens or joins a group of that name.
    """

    order_ref: str
    role: Role
    side: Side
    quantity: Decimal
    order_type: OrderType
    tif: TimeInForce
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    parent_ref: str = ""
    oca_ref: str = ""
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None
    good_till: datetime | None = None
    outside_rth: bool = False
    oca_group: str = ""


def bracket(
    group: str,
    *,
    side: Side,
    quantity: Decimal,
    entry: Decimal | None,
    stop: Decimal,
    target: Decimal,
    tif: TimeInForce = "DAY",
) -> tuple[OrderLeg, OrderLeg, OrderLeg]:
    """The legs of an entry with its protection: a limit at `entry` (None = at the market), a stop and a target, both
    good till cancelled. Their references are the group with -E, -S and -T."""
    out: Side = "SELL" if side == "BUY" else "BUY"
    parent = f"{group}-E"
    kind: OrderType = "MKT" if entry is None else "LMT"
    return (
        OrderLeg(parent, "entry", side, quantity, kind, tif, limit_price=entry),
        OrderLeg(f"{group}-S", "stop", out, quantity, "STP", "GTC", stop_price=stop, parent_ref=parent),
        OrderLeg(f"{group}-T", "target", out, quantity, "LMT", "GTC", limit_price=target, parent_ref=parent),
    )


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
    """A change of a working order; `revision` starts at 1 and is never used twice. What is None stays as it is.

    `quantity` is the new total, not below what has filled.
    """

    account: str
    order_ref: str
    revision: int
    limit_price: Decimal | None
    stop_price: Decimal | None
    reduces: bool
    deadline: datetime
    quantity: Decimal | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None


@dataclass(frozen=True, slots=True)
class PreviewOrder:
    """What one leg would cost, asked of the broker; nothing is placed and nothing is recorded."""

    account: str
    con_id: int
    leg: OrderLeg


@dataclass(frozen=True, slots=True)
class Preview:
    """The broker's answer to a what-if order, in the base currency; None where it has not said.

    `before`, `change` and `after` of initial margin, maintenance margin and equity with loan; `warning` is its text.
    """

    con_id: int
    init_margin_before: Decimal | None
    init_margin_change: Decimal | None
    init_margin_after: Decimal | None
    maint_margin_before: Decimal | None
    maint_margin_change: Decimal | None
    maint_margin_after: Decimal | None
    equity_before: Decimal | None
    equity_change: Decimal | None
    equity_after: Decimal | None
    commission: Decimal | None
    min_commission: Decimal | None
    max_commission: Decimal | None
    commission_currency: str
    warning: str
    time: datetime


@dataclass(frozen=True, slots=True)
class OrderRef:
    """One order by our reference."""

    account: str
    order_ref: str


@dataclass(frozen=True, slots=True)
class CancelAll:
    """Cancel the working orders of this client: all of them, or `entries` only, so that protection stays."""

    account: str
    which: Literal["entries", "all"] = "all"


@dataclass(frozen=True, slots=True)
class Kill:
    """The kill switch: halt, and end orders: `entries` so that protection stays, or `all` orders of every client.

    `run` names the wish, so that asking again joins it; `wait_s` is how long to wait for the proof that they ended.
    """

    state: Literal["REDUCING", "HALTED"]
    cancel: Literal["", "entries", "all"]
    actor: str
    reason: str
    run: str
    wait_s: float


@dataclass(frozen=True, slots=True)
class KillReport:
    """How far the cancels of a `run` are: how many were asked and how many of those work no longer by the book.

    `working` names those whose end is not proven, `kept` those that stay on purpose. `done`: nothing is left to end.
    `problem` says why it is not done.
    """

    run: str
    cancel: Literal["", "entries", "all"]
    owner: str
    asked: int
    confirmed: int
    working: tuple[str, ...]
    kept: tuple[str, ...]
    done: bool
    problem: str = ""


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
class CancelAllOutcome:
    """The references whose cancel has left; the book tells what became of them. `left` are kept on purpose."""

    asked: tuple[str, ...]
    left: tuple[str, ...] = ()
