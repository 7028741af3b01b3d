"""Which market data this account has: live, delayed or none, by contract; what is halted; who else is logged in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from .types import SymbolSpec

Feed = Literal["live", "delayed", "none"]
DELAY = timedelta(minutes=15)


class Feeds:
    """`delayed` names the symbols without a live subscription. While `competing`, another session has all live data.

    `halted` holds since when a contract does not trade.
    """

    def __init__(self, delayed: Iterable[str] = ()) -> None:
        self.competing = False
        self.halted: dict[int, datetime] = {}
        self._delayed = frozenset(symbol.strip().upper() for symbol in delayed)
        self._of: dict[int, Feed] = {}
        self._of_all: Feed | None = None

    def of(self, spec: SymbolSpec) -> Feed:
        """What the account has of this contract."""
        if spec.con_id in self._of:
            return self._of[spec.con_id]
        if self._of_all is not None:
            return self._of_all
        return "delayed" if spec.symbol in self._delayed else "live"

    def set(self, con_id: int | None, feed: Feed) -> None:
        """Switch one contract, or with None all of them; the newest word counts."""
        if con_id is None:
            self._of.clear()
            self._of_all = feed
        else:
            self._of[con_id] = feed

    def halt(self, con_id: int, at: datetime, *, halted: bool) -> None:
        """Trading of a contract is halted at this time, or goes on."""
        if halted:
            self.halted.setdefault(con_id, at)
        else:
            self.halted.pop(con_id, None)
