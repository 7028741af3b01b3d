"""The broker for what needs none: where nobody can be asked, each call says so, and what our rows decide goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

from broker import get_broker, types
from broker.errors import BrokerUnavailable
from broker.port import Broker


class Away:
    """A port that nobody answers: every call of it raises what is known of why."""

    def __init__(self, error: BrokerUnavailable) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def away(*_: object, **__: object) -> Any:
            raise BrokerUnavailable(self._error.message, code=self._error.reason, details=self._error.details)

        return away


@contextmanager
def broker_or_away() -> Iterator[Broker]:
    """The owner's port, for the length of the block; where there is no owner to ask, one whose calls raise it."""
    with ExitStack() as stack:
        try:
            broker = stack.enter_context(get_broker(own=False))
        except BrokerUnavailable as error:
            broker = cast("Broker", Away(error))
        yield broker


class AskedOnce:
    """The broker's status, asked at most once for everything that one person or program wants at this moment."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._told: types.BrokerStatus | BrokerUnavailable | None = None

    def __call__(self) -> types.BrokerStatus:
        """The status. Raises BrokerUnavailable, the same each time."""
        if self._told is None:
            try:
                self._told = self._broker.status()
            except BrokerUnavailable as error:
                self._told = error
        if isinstance(self._told, BrokerUnavailable):
            raise BrokerUnavailable(self._told.message, code=self._told.reason, details=self._told.details)
        return self._told
