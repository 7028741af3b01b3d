"""What a look at the broker's whole book found, and what the desk wants done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from broker.types.account import Position
from broker.types.orders import PlaceOrder


@dataclass(frozen=True, slots=True)
class Blocked:
    """Messages of the broker that could not be applied, oldest first, of one order (or of none: `key` is empty).

    Later messages of the same order wait behind them. `messages` are the owner's row ids.
    """

    key: str
    account: str
    order_ref: str
    perm_id: int
    kind: str
    problem: str
    since: datetime
    messages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """One complete answer of the broker, after its orders and executions were applied to our rows.

    `connection`: when that began; `started`: the system's time at which the answer was asked for. `working`: the permId
    of every order that works, with its OCA group (empty for none). `cash` is that of the `currency` alone, None where
    the broker has not said. `unprotectable`: why no protective order may leave now; empty where it may.
    """

    account: str
    connection: datetime
    started: datetime
    market_now: datetime
    working: Mapping[int, str]
    orders: int
    executions: int
    positions: tuple[Position, ...]
    cash: Decimal | None
    currency: str
    unprotectable: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the desk wants of the owner: protective orders whose intents are committed, and another look soon."""

    place: tuple[PlaceOrder, ...] = ()
    soon: bool = False


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """What one look compared; what differed is on the desk's record. `at` is the system's time of the asking."""

    account: str
    at: datetime
    market_now: datetime
    orders: int
    executions: int
    positions: int
    cash: Decimal | None
    currency: str
