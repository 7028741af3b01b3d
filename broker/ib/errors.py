"""What the adapter adds to the broker's errors."""

from __future__ import annotations

from broker.errors import BrokerUnavailable, OrderError


class NotSent(OrderError):
    """It is proven that nothing left for the broker: the order was never there."""

    code = "NOT_SENT"


class NotBegun(BrokerUnavailable):
    """A call into the connection's thread was withdrawn before it began: it had no effect and never will."""

    code = "NOT_BEGUN"


class NeedsPerson(ConnectionError):
    """The connection cannot be made before a person has done something: `action` says what."""

    def __init__(self, reason: str, action: str) -> None:
        super().__init__(reason)
        self.action = action
