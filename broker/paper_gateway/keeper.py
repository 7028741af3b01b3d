"""Brings the exchange's state to the store after each step, and back at the start."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal

from .engine import Engine, Opening
from .ids import OrderIds
from .ledger import Holding
from .player import BarProgress, Player
from .short_sales import ShortSales
from .store import Store, amounts_text


@dataclass(slots=True)
class DayStart:
    """The equity with which the current day in US/Eastern began."""

    equity: Decimal
    day: date


class Keeper:
    """`identity` are the facts that say whose store it is. Set `holdings_changed` where no execution tells of it."""

    def __init__(
        self, store: Store, engine: Engine, ids: OrderIds, player: Player, shorts: ShortSales, day_start: DayStart
    ) -> None:
        self._store = store
        self._engine = engine
        self._ids = ids
        self._player = player
        self._shorts = shorts
        self._day_start = day_start
        self.next_bound_id = -1
        self.holdings_changed = False

    def load(self, today: datetime) -> None:
        """Fill the parts with what the store holds; nothing happens with a new store. `today` begins at this time."""
        if self._store.fact("account") is None:
            return
        engine, book = self._engine, self._engine.book
        for order in self._store.live_orders():
            book.add(order)
        for group in self._store.filled_groups():
            book.note_filled_group(group)
        engine.executions = self._store.executions(today)
        engine.next_execution = self._store.last_execution() + 1
        self._store.load_ledger(engine.ledger)
        for con_id, (day, *amounts) in json.loads(self._store.fact("openings") or "{}").items():
            engine.openings[int(con_id)] = Opening(date.fromisoformat(day), Holding(*map(Decimal, amounts)))
        engine.next_perm_id = int(self._fact("next_perm_id"))
        self._day_start.equity = Decimal(self._fact("previous_equity"))
        self._day_start.day = date.fromisoformat(self._fact("equity_day"))
        for market, row in json.loads(self._fact("progress")).items():
            self._player.progress[market] = BarProgress(row["start"], row["low_first"], Decimal(row["price"]))
        given = json.loads(self._store.fact("shortable") or "{}")
        self._shorts.given.update({int(con_id): shares for con_id, shares in given.items()})
        self.next_bound_id = int(self._store.fact("next_bound_id") or -1)

    def save(self, identity: dict[str, str]) -> None:
        """Commit all that has changed since the last time, in one transaction."""
        engine, ids = self._engine, self._ids
        booked = bool(engine.changed_executions) or self.holdings_changed
        facts = {**identity, **self._facts()}
        if booked or self._store.fact("cash") is None:
            facts |= {
                "cash": amounts_text(engine.ledger.cash),
                "realized": amounts_text(engine.ledger.realized),
            }
        stale = any(self._store.fact(name) != value for name, value in facts.items())
        if not (stale or engine.changed or engine.changed_executions or ids.changed or self.holdings_changed):
            return
        self._store.save(
            facts=facts,
            orders=list(engine.changed.values()),
            executions=engine.changed_executions,
            holdings=engine.ledger.holdings if booked else None,
            clients=ids.changed or None,
        )
        engine.changed.clear()
        engine.changed_executions.clear()
        ids.changed.clear()
        self.holdings_changed = False
        engine.book.forget_ended()

    def _fact(self, name: str) -> str:
        value = self._store.fact(name)
        if value is None:
            raise KeyError(f"the store has an account but no {name}")
        return value

    def _facts(self) -> dict[str, str]:
        openings = {
            con_id: [day.isoformat(), held.quantity, held.cost, held.paid]
            for con_id, (day, held) in self._engine.openings.items()
        }
        progress = {market: asdict(state) for market, state in self._player.progress.items()}
        return {
            "next_perm_id": str(self._engine.next_perm_id),
            "previous_equity": str(self._day_start.equity),
            "equity_day": self._day_start.day.isoformat(),
            "progress": json.dumps(progress, default=str) if progress else "{}",
            "openings": json.dumps(openings, default=str),
            "shortable": json.dumps(self._shorts.given) if self._shorts.given else "{}",
            "next_bound_id": str(self.next_bound_id),
        }
