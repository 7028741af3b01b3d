"""A client with its recorder, and order requests, for the tests of the adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from broker import types
from broker.errors import AccountError
from broker.ib.client import IbClient
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway

E = TypeVar("E")
TIMEOUT = 40.0  # longer than a busy machine stands still
CLOSE = datetime(2019, 6, 3, 20, 0, tzinfo=UTC)  # a Monday's close in New York
HOUR = timedelta(hours=1)  # still the same day: the broker tells executions of the current day only
DAY = timedelta(days=1)
CENT = Decimal("0.01")


def take_paper_account(accounts: tuple[str, ...]) -> str:
    """The first paper account."""
    for name in accounts:
        if name.startswith("DU"):
            return name
    raise AccountError(f"none of {accounts} is a paper account")


def open_gate() -> None:
    """A gate that lets everything pass."""


def soon() -> datetime:
    """A deadline that no test reaches."""
    return datetime.now(UTC) + timedelta(minutes=10)


class Desk:
    """An IbClient and everything it reported, in order."""

    def __init__(self, host: str, port: int, **changes: Any) -> None:
        self.events: list[types.BrokerEvent] = []
        self.syncs: list[int] = []
        self.contracts: dict[int, types.Contract] = {}
        options: dict[str, Any] = {
            "host": host,
            "port": port,
            "client_id": 1,
            "paper": True,
            "accept_account": take_paper_account,
            "sink": self.events.append,
            "on_synced": lambda: self.syncs.append(len(self.events)),
            "known_contract": self.contracts.get,
        }
        self.client = IbClient(**(options | changes))

    def wait_synced(self) -> None:
        """Wait until the replay is done, and what is told of it, too: the state says it first."""
        self.client.wait_connected(TIMEOUT)
        self.client.ping(TIMEOUT)

    def contract(self, symbol: str = "AAPL") -> types.Contract:
        """The contract of a symbol."""
        (found,) = self.client.read("contracts", types.ContractQuery(symbol), TIMEOUT)
        self.contracts[found.con_id] = found
        return found

    def price(self, contract: types.Contract, factor: str = "1") -> Decimal:
        """The last price times a factor, on the tick grid."""
        last = self.client.read("quote", types.ConId(contract.con_id), TIMEOUT, [contract]).last
        assert last is not None
        return (last * Decimal(factor)).quantize(CENT)

    def place(self, contract: types.Contract, legs: Sequence[types.OrderLeg], **changes: Any) -> None:
        """Send the legs and wait until the gateway's first answers are in the sink."""
        gate: Callable[[], None] = changes.pop("gate", open_gate)
        options: dict[str, Any] = {
            "account": self.client.state().account,
            "con_id": contract.con_id,
            "legs": tuple(legs),
            "reduces": False,
            "deadline": soon(),
            "intent_hash": "hash",
        }
        self.client.send(contract, types.PlaceOrder(**(options | changes)), gate)
        self.client.fence(TIMEOUT)

    def modify(self, order_ref: str, **changes: Any) -> None:
        """Change a working order's prices and wait for the gateway's answer."""
        gate: Callable[[], None] = changes.pop("gate", open_gate)
        options: dict[str, Any] = {
            "account": self.client.state().account,
            "order_ref": order_ref,
            "revision": 1,
            "limit_price": None,
            "stop_price": None,
            "reduces": True,
            "deadline": soon(),
        }
        self.client.modify(types.ModifyOrder(**(options | changes)), gate)
        self.client.fence(TIMEOUT)

    def cancel(self, order_ref: str) -> None:
        """Cancel an order and wait for the gateway's answer."""
        self.client.cancel(order_ref, open_gate)
        self.client.fence(TIMEOUT)

    def all(self, kind: type[E], order_ref: str | None = None) -> list[E]:
        """The events of a kind so far, of one order or of all."""
        found = [event for event in list(self.events) if isinstance(event, kind)]
        return [event for event in found if order_ref is None or getattr(event, "order_ref", None) == order_ref]

    def last(self, order_ref: str) -> types.OrderReport:
        """The last report of an order."""
        return self.all(types.OrderReport, order_ref)[-1]


def bracket(desk: Desk, contract: types.Contract, group: str = "G1", quantity: int = 10) -> tuple[types.OrderLeg, ...]:
    """Buy at the market price, stop 20 % below, target 50 % above."""
    shares = Decimal(quantity)
    return (
        types.OrderLeg(f"{group}-E", "entry", "BUY", shares, "LMT", "DAY", limit_price=desk.price(contract, "1.02")),
        types.OrderLeg(
            f"{group}-S",
            "stop",
            "SELL",
            shares,
            "STP",
            "GTC",
            stop_price=desk.price(contract, "0.8"),
            parent_ref=f"{group}-E",
        ),
        types.OrderLeg(
            f"{group}-T",
            "target",
            "SELL",
            shares,
            "LMT",
            "GTC",
            limit_price=desk.price(contract, "1.5"),
            parent_ref=f"{group}-E",
        ),
    )


def frames(gateway: EmbeddedGateway) -> dict[str, int]:
    """How many frames of each name the gateway has received."""
    with ControlClient(gateway.host, gateway.control_port) as control:
        received: dict[str, int] = control.status()["frames"]
        return received
