"""What flows upward from the owner, and who takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from broker import types


class Desk(Protocol):
    """The side that keeps orders; the wiring registers it."""

    def apply(self, event: types.BrokerEvent) -> None:
        """Book one thing the broker said; called in the writer's transaction, must be idempotent."""

    def together(self, events: Sequence[types.BrokerEvent]) -> AbstractContextManager[None]:
        """For a block in which `apply` is called for these, one by one, in one transaction of the writer.

        `apply` may raise in it what it would not raise otherwise: then each of them has its own transaction.
        """

    def unresolved(self, now: datetime) -> Sequence[types.UnresolvedIntent]:
        """Orders of ours whose life at the broker is not over: SENDING to PARTIALLY_FILLED, and UNKNOWN."""

    def positions(self, account: str) -> Mapping[int, Decimal] | None:
        """What our fills say that the account holds, by con_id, negative for short; None where no fills are kept."""

    def compared(self, found: types.Compared) -> types.Wishes:
        """One complete look, after its orders and fills were applied; in the writer's thread, outside a transaction."""

    def watched(self, now: datetime, blocked: Sequence[types.Blocked]) -> Sequence[int]:
        """Every few seconds, with a broker or without: what waits too long. The messages that are to be set aside."""


class NoDesk:
    """Takes evidence and keeps no orders: the owner alone."""

    def apply(self, event: types.BrokerEvent) -> None:
        """Nothing to book."""

    def together(self, events: Sequence[types.BrokerEvent]) -> AbstractContextManager[None]:
        """Nothing to look up."""
        return nullcontext()

    def unresolved(self, now: datetime) -> Sequence[types.UnresolvedIntent]:
        """No orders."""
        return ()

    def positions(self, account: str) -> Mapping[int, Decimal] | None:
        """No fills."""
        return None

    def compared(self, found: types.Compared) -> types.Wishes:
        """Nothing to compare with."""
        return types.Wishes()

    def watched(self, now: datetime, blocked: Sequence[types.Blocked]) -> Sequence[int]:
        """Nobody to tell."""
        return ()


_desk: Desk = NoDesk()


def register(desk: Desk) -> Desk:
    """Make `desk` the one that takes evidence; answers the one before."""
    global _desk
    before, _desk = _desk, desk
    return before


def registered() -> Desk:
    """The one that takes evidence."""
    return _desk
