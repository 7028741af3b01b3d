"""The gateway's own SQLite file: orders, executions, ledger, ids and clock, written in one transaction a step."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from .errors import StoreMismatch
from .ledger import Holding, Ledger
from .orders import Order
from .types import Commission, Execution, OrderTerms

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders (perm_id INTEGER PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS executions (number INTEGER PRIMARY KEY, exec_id TEXT UNIQUE, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS holdings (con_id INTEGER PRIMARY KEY, quantity TEXT NOT NULL, cost TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS clients (client_id INTEGER PRIMARY KEY, next_order_id INTEGER NOT NULL);
"""
_DECIMALS = {"filled", "value", "commission", "last_price", "reduced", "taken", "quantity", "limit_price", "aux_price"}
_DECIMALS |= {"shares", "price", "cum_qty", "avg_price", "realized_pnl"}
_TIMES = {"placed_at", "since", "expires_at", "completed_at", "time"}


class Store:
    """One file, or memory for None. WAL with synchronous=NORMAL.

    A commit is in the operating system's hands before it returns, so it outlives a kill -9 of this process; only a
    power cut may lose the last steps, never tear one. No real money depends on them, and a step stays fast.
    """

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_TABLES)
        except sqlite3.DatabaseError as error:
            raise StoreMismatch(f"{path} cannot be used as a store ({error}); name another file") from error
        self._facts: dict[str, str] = dict(self._connection.execute("SELECT name, value FROM facts"))

    def close(self) -> None:
        self._connection.close()

    def fact(self, name: str) -> str | None:
        return self._facts.get(name)

    def save(
        self,
        *,
        facts: dict[str, str],
        orders: Iterable[Order] = (),
        executions: Iterable[tuple[int, Execution, Commission]] = (),
        holdings: dict[int, Holding] | None = None,
        clients: dict[int, int] | None = None,
    ) -> None:
        """Commit a step: all of it or nothing. `holdings` and `clients` replace what was there."""
        run = self._connection
        run.execute("BEGIN IMMEDIATE")
        try:
            self._save_facts(facts)
            run.executemany("REPLACE INTO orders VALUES (?, ?)", [(o.perm_id, _order_text(o)) for o in orders])
            run.executemany("INSERT INTO executions VALUES (?, ?, ?)", [_execution_row(*row) for row in executions])
            if holdings is not None:
                run.execute("DELETE FROM holdings")
                rows = [(con_id, str(h.quantity), str(h.cost)) for con_id, h in holdings.items()]
                run.executemany("INSERT INTO holdings VALUES (?, ?, ?)", rows)
            if clients is not None:
                run.executemany("REPLACE INTO clients VALUES (?, ?)", clients.items())
        except BaseException:
            run.execute("ROLLBACK")
            raise
        run.execute("COMMIT")

    def _save_facts(self, facts: dict[str, str]) -> None:
        news = [(name, value) for name, value in facts.items() if self._facts.get(name) != value]
        self._connection.executemany("REPLACE INTO facts VALUES (?, ?)", news)
        self._facts.update(news)

    def orders(self) -> list[Order]:
        """Every order, oldest first."""
        return [_order(text) for (text,) in self._connection.execute("SELECT document FROM orders ORDER BY perm_id")]

    def executions(self) -> list[tuple[Execution, Commission]]:
        """Every execution with its commission, oldest first."""
        rows = self._connection.execute("SELECT document FROM executions ORDER BY number")
        documents = [json.loads(text) for (text,) in rows]
        return [(Execution(**_restored(d["execution"])), Commission(**_restored(d["commission"]))) for d in documents]

    def clients(self) -> dict[int, int]:
        """The next order id of each client."""
        return dict(self._connection.execute("SELECT client_id, next_order_id FROM clients"))

    def load_ledger(self, ledger: Ledger) -> None:
        for con_id, quantity, cost in self._connection.execute("SELECT con_id, quantity, cost FROM holdings"):
            ledger.holdings[con_id] = Holding(Decimal(quantity), Decimal(cost))
        ledger.cash = Decimal(self._facts["cash"])
        ledger.realized = Decimal(self._facts["realized"])


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


def _order_text(order: Order) -> str:
    document = {field.name: getattr(order, field.name) for field in fields(order)}
    return json.dumps({**document, "terms": asdict(order.terms)}, default=_plain)


def _order(text: str) -> Order:
    document = _restored(json.loads(text))
    return Order(**{**document, "terms": OrderTerms(**_restored(document["terms"]))})


def _execution_row(number: int, execution: Execution, commission: Commission) -> tuple[int, str, str]:
    document = {"execution": asdict(execution), "commission": {**asdict(commission)}}
    return number, execution.exec_id, json.dumps(document, default=_plain)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _restored(document: dict[str, Any]) -> dict[str, Any]:
    """Decimals and times from their texts, by the name of the field."""
    return {name: _restored_value(name, value) for name, value in document.items()}


def _restored_value(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if name in _TIMES:
        return datetime.fromisoformat(value)
    return Decimal(value) if name in _DECIMALS or name == "commission" else value
