"""One question to the database that cannot hang: on a connection of its own, which no request uses."""

from __future__ import annotations

import select
import sqlite3
import time
from pathlib import Path
from typing import Any, Protocol

import psycopg
from django.conf import settings

ANSWER_LIMIT = 1.0
CONNECT_LIMIT = 2  # the shortest that libpq knows, in seconds


class Probe(Protocol):
    """A question to the database."""

    def __call__(self) -> str:
        """Say "" where it answers, else why not."""

    def close(self) -> None:
        """Leave no connection behind."""


def probe_of(config: dict[str, Any] | None = None) -> Probe:
    """The probe for a database of Django's settings."""
    config = settings.DATABASES["default"] if config is None else config
    if "sqlite" in config["ENGINE"]:
        return SqliteProbe(str(config["NAME"]))
    return PostgresProbe(config)


class SqliteProbe:
    """Reads the file's first page; a writer does not hinder it."""

    def __init__(self, name: str) -> None:
        self._address = Path(name).resolve().as_uri()

    def __call__(self) -> str:
        try:
            connection = sqlite3.connect(f"{self._address}?mode=ro", uri=True, timeout=ANSWER_LIMIT / 2)
        except sqlite3.Error as error:
            return str(error)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            return str(error)
        finally:
            connection.close()
        return ""

    def close(self) -> None:
        """There is none between two questions."""


class PostgresProbe:
    """Keeps one connection and asks by it; where no answer comes in time the connection is given up, not waited for."""

    def __init__(self, config: dict[str, Any]) -> None:
        options = {name: value for name, value in config.get("OPTIONS", {}).items() if isinstance(value, (str, int))}
        known = {
            "dbname": config["NAME"],
            "user": config["USER"],
            "password": config["PASSWORD"],
            "host": config["HOST"],
            "port": config["PORT"],
        }
        given = {name: value for name, value in known.items() if value}
        self._parameters = {
            **given,
            **options,
            "connect_timeout": CONNECT_LIMIT,
            "application_name": "autotrader probe",
        }
        self._connection: psycopg.Connection[Any] | None = None

    def __call__(self) -> str:
        try:
            if self._connection is None:
                self._connection = psycopg.connect(autocommit=True, **self._parameters)
            self._ask(self._connection)
        except (psycopg.Error, OSError) as error:
            self.close()
            return _first_line(error)
        return ""

    def _ask(self, connection: psycopg.Connection[Any]) -> None:
        """Without psycopg's own waiting, which knows no limit."""
        link, until = connection.pgconn, time.monotonic() + ANSWER_LIMIT
        link.send_query(b"SELECT 1")
        while link.flush():
            _wait(link.socket, select.POLLOUT, until)
        link.consume_input()
        while link.is_busy():
            _wait(link.socket, select.POLLIN, until)
            link.consume_input()
        while (result := link.get_result()) is not None:
            if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
                raise psycopg.OperationalError(result.error_message.decode(errors="replace"))

    def close(self) -> None:
        """Leave no connection behind."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _wait(descriptor: int, what: int, until: float) -> None:
    poll = select.poll()
    poll.register(descriptor, what)
    if not poll.poll(max(until - time.monotonic(), 0) * 1000):
        raise psycopg.OperationalError(f"no answer within {ANSWER_LIMIT:g} s")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
