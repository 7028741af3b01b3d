"""The gateway's own SQLite file: orders, executions, ledger, ids and clock, written in one transaction a step."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from .documents import booked_of, booked_text, order_of, order_text
from .engine import Booked
from .errors import OTHER_STORE, StoreMismatch
from .ledger import Holding, Ledger
from .orders import Order

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders (perm_id INTEGER PRIMARY KEY, document TEXT NOT NULL, client_id INTEGER,
    order_id INTEGER, completed_at REAL, status TEXT);
CREATE TABLE IF NOT EXISTS executions (number INTEGER PRIMARY KEY, exec_id TEXT UNIQUE, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS holdings (con_id INTEGER PRIMARY KEY, quantity TEXT NOT NULL, cost TEXT NOT NULL, paid TEXT);
CREATE TABLE IF NOT EXISTS clients (client_id INTEGER PRIMARY KEY, next_order_id INTEGER NOT NULL);
"""
_INDEXES = """
CREATE INDEX IF NOT EXISTS orders_by_key ON orders (client_id, order_id);
CREATE INDEX IF NOT EXISTS orders_by_end ON orders (completed_at);
"""
_LATER_COLUMNS = {
    "orders": ("client_id INTEGER", "order_id INTEGER", "completed_at REAL", "status TEXT"),
    "holdings": ("paid TEXT",),
}
_SAVE_ORDER = "REPLACE INTO orders VALUES (:perm_id, :document, :client_id, :order_id, :completed_at, :status)"


class Store:
    """One file, or a temporary one for None. WAL with synchronous=NORMAL.

    A commit is in the operating system's hands before it returns, so it outlives a kill -9 of this process; only a
    power cut may lose the last steps, never tear one. No real money depends on them, and a step stays fast.
    """

    def __init__(self, path: Path | None) -> None:
        self.name = f"the store {path}" if path else "the store"
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path or "", isolation_level=None, check_same_thread=False)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL" if path else "PRAGMA journal_mode=MEMORY")
            self._connection.execute("PRAGMA synchronous=NORMAL" if path else "PRAGMA synchronous=OFF")
            self._connection.executescript(_TABLES)
            self._widen()
            self._connection.executescript(_INDEXES)
        except sqlite3.DatabaseError as error:
            raise StoreMismatch(f"{path} cannot be used as a store ({error}); {OTHER_STORE}") from error
        self._facts: dict[str, str] = dict(self._connection.execute("SELECT name, value FROM facts"))

    def _widen(self) -> None:
        """Give the tables of an older store the columns they lack."""
        for table, columns in _LATER_COLUMNS.items():
            held = {row[1] for row in self._connection.execute(f"PRAGMA table_info({table})")}
            missing = [column for column in columns if column.split()[0] not in held]
            for column in missing:
                self._connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
            if table == "orders" and missing:
                texts = self._connection.execute("SELECT document FROM orders").fetchall()
                self._connection.executemany(_SAVE_ORDER, [_order_row(order_of(text)) for (text,) in texts])

    def close(self) -> None:
        self._connection.close()

    def fact(self, name: str) -> str | None:
        return self._facts.get(name)

    def save(
        self,
        *,
        facts: dict[str, str],
        orders: Iterable[Order] = (),
        executions: dict[int, Booked] | None = None,
        holdings: dict[int, Holding] | None = None,
        clients: dict[int, int] | None = None,
    ) -> None:
        """Commit a step: all of it or nothing. `holdings` and `clients` replace what was there."""
        run = self._connection
        run.execute("BEGIN IMMEDIATE")
        try:
            self._save_facts(facts)
            run.executemany(_SAVE_ORDER, [_order_row(order) for order in orders])
            if executions:
                rows = [(number, b.execution.exec_id, booked_text(b)) for number, b in executions.items()]
                run.executemany("REPLACE INTO executions VALUES (?, ?, ?)", rows)
            if holdings is not None:
                self._save_holdings(holdings)
            if clients is not None:
                run.executemany("REPLACE INTO clients VALUES (?, ?)", clients.items())
        except BaseException:
            run.execute("ROLLBACK")
            raise
        run.execute("COMMIT")

    def _save_holdings(self, holdings: dict[int, Holding]) -> None:
        self._connection.execute("DELETE FROM holdings")
        rows = [(con_id, str(h.quantity), str(h.cost), str(h.paid)) for con_id, h in holdings.items()]
        self._connection.executemany("INSERT INTO holdings VALUES (?, ?, ?, ?)", rows)

    def _save_facts(self, facts: dict[str, str]) -> None:
        news = [(name, value) for name, value in facts.items() if self._facts.get(name) != value]
        self._connection.executemany("REPLACE INTO facts VALUES (?, ?)", news)
        self._facts.update(news)

    def live_orders(self) -> list[Order]:
        """Every order that has not ended, oldest first."""
        rows = self._connection.execute("SELECT document FROM orders WHERE completed_at IS NULL ORDER BY perm_id")
        return [order_of(text) for (text,) in rows]

    def ended_orders(self, since: datetime) -> list[Order]:
        """Filled and cancelled orders that ended at `since` or later, in that order."""
        where = "completed_at >= ? AND status <> 'Inactive' ORDER BY completed_at, perm_id"
        rows = self._connection.execute(f"SELECT document FROM orders WHERE {where}", (since.timestamp(),))
        return [order_of(text) for (text,) in rows]

    def order(self, perm_id: int) -> Order | None:
        row = self._connection.execute("SELECT document FROM orders WHERE perm_id = ?", (perm_id,)).fetchone()
        return None if row is None else order_of(row[0])

    def order_by_key(self, client_id: int, order_id: int) -> Order | None:
        """The newest order of that client and id."""
        query = "SELECT document FROM orders WHERE client_id = ? AND order_id = ? ORDER BY perm_id DESC LIMIT 1"
        row = self._connection.execute(query, (client_id, order_id)).fetchone()
        return None if row is None else order_of(row[0])

    def filled_groups(self) -> list[str]:
        """The groups named by orders that were filled."""
        grouped = """(document LIKE '%"oca_group"%' OR document LIKE '%"parent_perm_id"%')"""
        query = f"SELECT document FROM orders WHERE status = 'Filled' AND {grouped}"
        return [group for (text,) in self._connection.execute(query) if (group := order_of(text).group)]

    def executions(self, since: datetime) -> dict[int, Booked]:
        """Executions at `since` or later by their number, oldest first."""
        found = list(self._newest_executions(since))
        return dict(reversed(found))

    def _newest_executions(self, since: datetime) -> Iterator[tuple[int, Booked]]:
        for number, text in self._connection.execute("SELECT number, document FROM executions ORDER BY number DESC"):
            booked = booked_of(text)
            if booked.execution.time < since:
                return
            yield number, booked

    def last_execution(self) -> int:
        """The highest number given to an execution; 0 where there is none."""
        return int(self._connection.execute("SELECT COALESCE(MAX(number), 0) FROM executions").fetchone()[0])

    def clients(self) -> dict[int, int]:
        """The next order id of each client."""
        return dict(self._connection.execute("SELECT client_id, next_order_id FROM clients"))

    def load_ledger(self, ledger: Ledger) -> None:
        for con_id, quantity, cost, paid in self._connection.execute("SELECT * FROM holdings"):
            ledger.holdings[con_id] = Holding(Decimal(quantity), Decimal(cost), Decimal(paid or cost))
        ledger.cash = _amounts(self._facts["cash"], ledger.base)
        ledger.realized = _amounts(self._facts["realized"], ledger.base)


def amounts_text(amounts: dict[str, Decimal]) -> str:
    """Amounts by currency as a fact."""
    return json.dumps(amounts, default=str)


def _amounts(text: str, base: str) -> dict[str, Decimal]:
    """Amounts by currency; an older store holds one number, in base currency."""
    if not text.startswith("{"):
        return {base: Decimal(text)}
    return {code: Decimal(amount) for code, amount in json.loads(text).items()}


def read_account(path: Path) -> str | None:
    """The account id that a store holds, read without writing; None where there is no store or no account yet."""
    if not path.is_file():
        return None
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'facts'").fetchone():
            return None
        row = connection.execute("SELECT value FROM facts WHERE name = 'account'").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
            raise
        return None
    finally:
        connection.close()
    return None if row is None else str(row[0])


def _order_row(order: Order) -> dict[str, object]:
    return {
        "perm_id": order.perm_id,
        "document": order_text(order),
        "client_id": order.terms.client_id,
        "order_id": order.terms.order_id,
        "completed_at": order.completed_at.timestamp() if order.completed_at else None,
        "status": order.status,
    }
