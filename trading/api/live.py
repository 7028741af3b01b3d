"""Live over REST: what the broker says at this moment, as bare arrays; never anything from our own rows.

Where the broker is not ready the answer is 503 with Retry-After: an empty array means that the broker holds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Literal

from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.errors import Invalid
from autotrader.core.rest.limits import KeyLimited, limits_of
from autotrader.core.rest.views import Endpoint
from broker import get_broker, types
from broker.errors import AccountError, BrokerError, BrokerUnavailable, MarketDataError
from broker.port import Broker

# How the port names what a query parameter is called here.
PARAMETERS = {"bar_size": "bar", "con_ids": "symbols"}
READ_ERRORS = (BrokerError, BrokerUnavailable, AccountError, MarketDataError)


@dataclass(frozen=True, slots=True)
class Connected:
    """The port with what its owner says of the connection; `account` may be seen by who asks."""

    broker: Broker
    status: types.BrokerStatus

    @property
    def account(self) -> str:
        """The connection's account."""
        return self.status.account


@dataclass(frozen=True, slots=True)
class LiveAccount(types.AccountSummary):
    """The account's values in its base currency at `time`; null where the broker has not said."""

    source: Literal["live"] = "live"


@contextmanager
def market() -> Iterator[Broker]:
    """The port, for what belongs to no account. What the broker takes for a wrong request is the caller's to mend.

    Raises Invalid naming the parameter, and what the port raises.
    """
    try:
        with get_broker(own=False) as broker:
            yield broker
    except BrokerError as error:
        if error.reason != "BAD_REQUEST":
            raise
        field = str(error.details.get("field", ""))
        name = PARAMETERS.get(field, field)
        details = {**error.details, "field": name, "fields": {name: error.message}}
        raise Invalid(error.message, code="BAD_REQUEST", details=details) from error


@contextmanager
def connected(request: Request) -> Iterator[Connected]:
    """The port where it is connected and the request may see its account.

    Raises BrokerUnavailable where the broker is not ready, and KeyLimited.
    """
    limits = limits_of(request)
    if limits.strategies:
        # Whatever the account is: what it holds belongs to every strategy, and the broker need not be asked.
        raise KeyLimited("This is the whole account's; this key is limited to strategies.")
    with market() as broker:
        status = broker.status()
        if not status.connected or not status.account:
            details = {"phase": status.phase, "since": status.since.isoformat(), "action": status.action}
            raise BrokerUnavailable(f"The broker is not ready: {status.reason or status.phase}.", details=details)
        limits.check(account=status.account, strategy=None)
        yield Connected(broker, status)


def account_of(live: Connected) -> LiveAccount:
    """The account's values now."""
    summary = live.broker.account()
    return LiveAccount(**shallow(summary))


def shallow(value: Any) -> dict[str, Any]:
    """The fields of a dataclass, as they are."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


class LiveAccountEndpoint(Endpoint):
    """GET: the values of the connected account, as an array of one."""

    permissions = {"GET": "trading.view_account"}
    answers = {"GET": LiveAccount}
    errors = READ_ERRORS
    many = True

    def get(self, request: Request) -> Response:
        with connected(request) as live:
            return Response([plain(account_of(live))])


class LivePositionsEndpoint(Endpoint):
    """GET: what the connected account holds; an empty array means that it holds nothing."""

    permissions = {"GET": "trading.view_account"}
    answers = {"GET": types.Position}
    errors = READ_ERRORS
    many = True

    def get(self, request: Request) -> Response:
        with connected(request) as live:
            return Response([plain(position) for position in live.broker.positions()])


class LiveOpenOrdersEndpoint(Endpoint):
    """GET: every order of the connected account that works at the broker, whoever sent it; `order_ref` is empty for
    what was made by hand."""

    permissions = {"GET": "trading.view_order"}
    answers = {"GET": types.OrderReport}
    errors = READ_ERRORS
    many = True

    def get(self, request: Request) -> Response:
        with connected(request) as live:
            return Response([plain(order) for order in orders_of(live.account, live.broker.open_orders())])


def orders_of(account: str, orders: Iterable[types.OrderReport]) -> list[types.OrderReport]:
    """Those of the account: one login may have several, and its gateway lists the orders of them all."""
    return [order for order in orders if order.account == account]


def plain(value: Any) -> Any:
    """A document of dataclasses as dictionaries and lists; what the renderer knows stays as it is."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value
