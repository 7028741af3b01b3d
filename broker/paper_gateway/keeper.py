"""Brings the exchange's state to the store after each step, and back at the start."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal

from .engine import Engine
from .ids import OrderIds
from .player import BarProgress, Player
from .store import Store


@dataclass(slots=True)
class DayStart:
    """The equity with which the current day in US/Eastern began."""

    equity: Decimal
    day: date


class Keeper:
    """`identity` are the facts that say whose store it is. Set `holdings_changed` where no execution tells of it."""

    def __init__(self, store: Store, engine: Engine, ids: OrderIds, player: Player, day_start: DayStart) -> None:
        self._store = store
        self._engine = engine
        self._ids = ids
        self._player = player
        self._day_start = day_start
        self.holdings_changed = False

    def load(self) -> None:
        """Fill the parts with what the store holds; nothing happens with a new store."""
        if self._store.fact("account") is None:
            return
        for order in self._store.orders():
            self._engine.book.add(order)
        self._engine.executions = self._store.executions()
        self._store.load_ledger(self._engine.ledger)
        self._engine.next_perm_id = int(self._fact("next_perm_id"))
        self._day_start.equity = Decimal(self._fact("previous_equity"))
        self._day_start.day = date.fromisoformat(self._fact("equity_day"))
        for symbol, row in json.loads(self._fact("progress")).items():
            self._player.progress[symbol] = BarProgress(row["start"], row["low_first"], Decimal(row["price"]))

    def save(self, identity: dict[str, str]) -> None:
        """Commit all that has changed since the last time, in one transaction."""
        engine, ids = self._engine, self._ids
        facts = {**identity, **self._facts()}
        stale = any(self._store.fact(name) != value for name, value in facts.items())
        if not (stale or engine.changed or engine.new_executions or ids.changed or self.holdings_changed):
            return
        first = len(engine.executions) - len(engine.new_executions) + 1
        booked = bool(engine.new_executions) or self.holdings_changed
        self._store.save(
            facts=facts,
            orders=list(engine.changed.values()),
            executions=[(first + offset, *row) for offset, row in enumerate(engine.new_executions)],
            holdings=engine.ledger.holdings if booked else None,
            clients=ids.changed or None,
        )
        engine.changed.clear()
        engine.new_executions.clear()
        ids.changed.clear()
        self.holdings_changed = False

    def _fact(self, name: str) -> str:
        value = self._store.fact(name)
        if value is None:
            raise KeyError(f"the store has an account but no {name}")
        return value

    def _facts(self) -> dict[str, str]:
        progress = {symbol: asdict(state) for symbol, state in self._player.progress.items()}
        return {
            "cash": str(self._engine.ledger.cash),
            "realized": str(self._engine.ledger.realized),
            "next_perm_id": str(self._engine.next_perm_id),
            "previous_equity": str(self._day_start.equity),
            "equity_day": self._day_start.day.isoformat(),
            "progress": json.dumps(progress, default=str),
        }
