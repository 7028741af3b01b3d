"""What the owner's tests share: a desk in memory, requests, and counting frames at the gateway."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from broker import types
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.port import Broker
from broker.service.reconcile import Timing

E = TypeVar("E")
CLOSE = datetime(2019, 6, 3, 20, 0, tzinfo=UTC)  # a Monday's close in New York
NOW = datetime(2024, 1, 2, tzinfo=UTC)
FAST = Timing(interval=0.1, hurry=0.1, retry=0.05, watch=0.1)
ACCOUNT = "DU1"


class MemoryDesk:
    """Keeps events in order; `failing` raises for the events of an order, `intents` are its open orders.

    `runs` are the events that were booked in one transaction each; orders in `refused` are booked alone only.
    `booked` is what its fills hold by con_id, None for a desk that keeps none. `wishes` are granted once; messages of
    the orders in `aside` are set aside.
    """

    def __init__(self) -> None:
        self.events: list[types.BrokerEvent] = []
        self.intents: list[types.UnresolvedIntent] = []
        self.failing: dict[str, Exception] = {}
        self.runs: list[list[types.BrokerEvent]] = []
        self.refused: set[str] = set()
        self.booked: dict[int, Decimal] | None = None
        self.threads: set[str] = set()
        self.looks: list[types.Compared] = []
        self.wishes = types.Wishes()
        self.blocked: list[types.Blocked] = []
        self.aside: set[str] = set()

    def apply(self, event: types.BrokerEvent) -> None:
        self.threads.add(threading.current_thread().name)
        problem = self.failing.get(getattr(event, "order_ref", ""))
        if problem is not None:
            raise problem
        self.events.append(event)

    def together(self, events: Sequence[types.BrokerEvent]) -> AbstractContextManager[None]:
        """What is rolled back was not applied, as rows would tell."""
        return self._all_or_none(list(events))

    @contextmanager
    def _all_or_none(self, events: list[types.BrokerEvent]) -> Iterator[None]:
        before = len(self.events)
        try:
            yield
            if any(getattr(event, "order_ref", "") in self.refused for event in events):
                raise ValueError("better alone")
        except Exception:
            del self.events[before:]
            raise
        self.runs.append(events)

    def unresolved(self, now: datetime) -> Sequence[types.UnresolvedIntent]:
        return list(self.intents)

    def positions(self, account: str) -> Mapping[int, Decimal] | None:
        return self.booked

    def compared(self, found: types.Compared) -> types.Wishes:
        self.looks.append(found)
        wishes, self.wishes = self.wishes, types.Wishes()
        return wishes

    def watched(self, now: datetime, blocked: Sequence[types.Blocked]) -> Sequence[int]:
        self.blocked = list(blocked)
        return [pk for item in blocked for pk in item.messages if item.key in self.aside]

    def all(self, kind: type[E], order_ref: str | None = None) -> list[E]:
        """The events of a kind so far, of one order or of all."""
        found = [event for event in list(self.events) if isinstance(event, kind)]
        return [event for event in found if order_ref is None or getattr(event, "order_ref", None) == order_ref]


def soon() -> datetime:
    """A deadline that no test reaches."""
    return datetime.now(UTC) + timedelta(minutes=4)


def resolve(broker: Broker, symbol: str = "SPY") -> types.Contract:
    """The contract of a symbol."""
    return broker.contracts(types.ContractQuery(symbol))[0]


def bracket(broker: Broker, group: str = "G1", quantity: int = 10) -> types.PlaceOrder:
    """Buy far below the market, so that it works until cancelled."""
    contract = resolve(broker)
    last = broker.quote(types.ConId(contract.con_id)).last
    assert last is not None
    return request(contract.con_id, broker.status().account, last, group, quantity)


def request(con_id: int, account: str, last: Decimal, group: str, quantity: int = 10) -> types.PlaceOrder:
    """A sound bracket around 80 % of `last`."""
    entry, stop, target = (price(last, factor) for factor in ("0.8", "0.7", "0.9"))
    shares = Decimal(quantity)
    legs = (
        types.OrderLeg(f"{group}-E", "entry", "BUY", shares, "LMT", "DAY", limit_price=entry),
        types.OrderLeg(f"{group}-S", "stop", "SELL", shares, "STP", "GTC", stop_price=stop, parent_ref=f"{group}-E"),
        types.OrderLeg(
            f"{group}-T", "target", "SELL", shares, "LMT", "GTC", limit_price=target, parent_ref=f"{group}-E"
        ),
    )
    return types.PlaceOrder(account, con_id, legs, reduces=False, deadline=soon(), intent_hash=f"hash of {group}")


def price(last: Decimal, factor: str) -> Decimal:
    """A part of a price, in whole cents."""
    return (last * Decimal(factor)).quantize(Decimal("0.01"))


def changed(order: types.PlaceOrder, leg: int, **changes: Any) -> types.PlaceOrder:
    """The request with one leg changed."""
    legs = list(order.legs)
    legs[leg] = replace(legs[leg], **changes)
    return replace(order, legs=tuple(legs))


def placed_frames(gateway: EmbeddedGateway) -> int:
    """How many placeOrder frames have reached the gateway."""
    with ControlClient(gateway.host, gateway.control_port) as control:
        frames: dict[str, int] = control.status()["frames"]
        return frames.get("placeOrder", 0)


def filling(broker: Broker, group: str = "G1", quantity: int = 10) -> types.PlaceOrder:
    """Buy at any price to come; its stop and target are out of reach, so they stay."""
    contract = resolve(broker)
    last = broker.quote(types.ConId(contract.con_id)).last
    assert last is not None
    order = request(contract.con_id, broker.status().account, last, group, quantity)
    order = changed(order, 0, limit_price=price(last, "1.2"))
    order = changed(order, 1, stop_price=price(last, "0.5"))
    return changed(order, 2, limit_price=price(last, "1.8"))
