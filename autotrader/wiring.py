"""The one place where packages are joined: what flows upward is registered here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

from broker import types
from broker.service import desk

if TYPE_CHECKING:
    from trading.services.compared import Comparison


class TradingDesk:
    """What the broker's owner tells the desk, and asks of it."""

    def apply(self, event: types.BrokerEvent) -> None:
        """Book one broker event; runs in the writer's transaction."""
        from trading.services.evidence import apply

        apply(event)

    def together(self, events: Sequence[types.BrokerEvent]) -> AbstractContextManager[None]:
        """Book several events in one transaction of the writer's."""
        from trading.services.evidence import together

        return together(events)

    def unresolved(self, now: datetime) -> Sequence[types.UnresolvedIntent]:
        """Orders whose life at the broker is not over."""
        from trading.selectors.orders import unresolved

        return unresolved(now)

    def positions(self, account: str) -> Mapping[int, Decimal] | None:
        """What our fills say that the account holds."""
        from trading.selectors.positions import booked

        return booked(account)

    def compared(self, found: types.Compared) -> types.Wishes:
        """Compare the desk's rows with one complete look."""
        return self._comparison.look(found)

    def watched(self, now: datetime, blocked: Sequence[types.Blocked]) -> Sequence[int]:
        """Raise what waits too long."""
        return self._comparison.watch(now, blocked)

    @cached_property
    def _comparison(self) -> Comparison:
        from trading.services.compared import Comparison

        return Comparison()


def connect() -> None:
    """Register the upward flows; called once, when every app is loaded."""
    from autotrader.operations import figures

    desk.register(TradingDesk())
    figures.connect()
