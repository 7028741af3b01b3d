"""What the control port and the faults may do to an exchange, and no client can."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from .feeds import Feed
from .types import Exchange, Listener, OrderTerms, OrderView


class SteeredExchange(Exchange, Protocol):
    """The exchange with a hand on its clock, its data and its books; called from the gateway's one event loop only."""

    competing: bool

    def listen(self, listener: Listener) -> None:
        """Tell everything that happens to `listener`."""

    def leave_commits(self) -> None:
        """From now on the listener commits what happened, before any of it leaves this process."""

    def commit(self) -> None:
        """Keep what has happened since the last time; nothing where nothing has."""

    def advance(self, to: datetime) -> None:
        """Set clock only: play every price event up to and including `to`, in the order (time, symbol, order id)."""

    def tick(self) -> None:
        """Running clock only: expire, trigger and match working orders against the quotes of now."""

    def all_orders(self) -> Sequence[OrderView]:
        """Parked and working orders, and those that ended within seven days, refused ones too."""

    def correct_execution(self, exec_id: str, *, price: Decimal | None = None, shares: Decimal | None = None) -> str:
        """Correct one of today's executions; the id of the correction. Raises KeyError for any other."""

    def bust_execution(self, exec_id: str) -> str:
        """Take one of today's executions back; the id under which that is told. Raises KeyError for any other."""

    def double_order(self, terms: OrderTerms) -> None:
        """Take terms as one more order even where their id has a live one."""

    def split_fills(self, parts: int) -> None:
        """From now on every fill comes as that many executions; 1 = in one piece."""

    def roll_back_order_ids(self, client_id: int, to: int) -> None:
        """Let a client's order ids begin again at `to`; raises ValueError where that is no step back."""

    def set_shortable(self, con_id: int, shares: int) -> None:
        """So many shares can be borrowed now; short sales that waited for them come alive."""

    def place_manual(self, terms: OrderTerms) -> None:
        """Enter an order as a person at the platform does."""

    def clock_speed(self, speed: float) -> None:
        """Running clock only: this many market seconds a second from now on; raises ValueError."""

    def clock_jump(self, to: datetime) -> None:
        """Running clock only: move it forward and play what happens between; raises ValueError."""

    def set_feed(self, con_id: int | None, feed: Feed) -> None:
        """Which market data the account has of a contract, or with None of all."""

    def set_halted(self, con_id: int, *, halted: bool) -> None:
        """Say that trading of a contract is halted, or goes on."""
