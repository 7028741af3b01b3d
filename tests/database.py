"""How a transactional test leaves the database as the migrations made it, in spite of the append-only triggers."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

from django.db import connection, transaction

from tests.environment import FOLDER, fast_folder

Rows = list[tuple[Any, ...]]
_baseline: dict[str, Rows] = {}
_making: list[IO[str]] = []


def template_laid() -> bool:
    """Put a migrated file in this process's place; False where there is none yet, and this process is to make it.

    The others of the run wait meanwhile, since migrating once is enough for all. A maker that dies lets the next one.
    """
    if connection.vendor != "sqlite":
        return False
    lock = _template().with_suffix(".lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not _template().exists():
        _making.append(lock)
        return False
    lock.close()
    shutil.copyfile(_template(), connection.settings_dict["TEST"]["NAME"])
    return True


def template_keep() -> None:
    """Let the others have what this process has migrated."""
    if not _making:
        return
    part = _template().with_suffix(".part")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(part)])
    part.replace(_template())
    _making.pop().close()


def _template() -> Path:
    return Path(os.environ[FOLDER]) / "template.sqlite3"


def remember_baseline() -> None:
    """Keep the rows that migrations made; called once, on the fresh database."""
    with connection.cursor() as cursor:
        _baseline.update({table: _rows(cursor, table) for table in _filled(cursor, _tables())})


def restore_baseline() -> None:
    """Empty what a test filled and put back what it changed."""
    put_back(_baseline)


def copied() -> dict[str, Rows]:
    """All rows as they are now, by table."""
    with transaction.atomic(), connection.cursor() as cursor:
        return {table: _rows(cursor, table) for table in _filled(cursor, _tables())}


def put_back(rows: Mapping[str, Rows]) -> None:
    """Let the tables have these rows and no others, in one transaction.

    Rows are deleted table by table instead of Django's flush of every table, which takes ten times longer here.
    """
    with transaction.atomic(), connection.cursor() as cursor, append_only_lifted(cursor):
        for table in sorted(set(_filled(cursor, _tables())) | set(rows)):
            _restore(cursor, table, rows.get(table, []))


@contextmanager
def append_only_lifted(cursor: Any) -> Iterator[None]:
    """The one switch that lets rows of the audit log go: for this transaction, on a test database only."""
    _refuse_real_database()
    if connection.vendor == "postgresql":
        cursor.execute("SET LOCAL lock_timeout = '10s'")
        cursor.execute("SET LOCAL autotrader.allow_purge = 'on'")
        yield
        cursor.execute("SET LOCAL autotrader.allow_purge = 'off'")
        return
    cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'audit%%'")
    triggers = cursor.fetchall()
    for name, _ in triggers:
        cursor.execute(f'DROP TRIGGER "{name}"')
    yield
    for _, statement in triggers:
        cursor.execute(statement)


def _refuse_real_database() -> None:
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        safe = Path(name).is_relative_to(fast_folder()) and "autotrader-test-" in name
    else:
        safe = name.startswith("test_")
    if not safe:
        raise RuntimeError(f"{name} is not a test database; nothing is deleted there")


@cache
def _tables() -> list[str]:
    """The tables as the migrations made them: asking for them costs as much as emptying what a test filled."""
    return [table for table in connection.introspection.table_names() if table != "django_migrations"]


def _filled(cursor: Any, tables: list[str]) -> list[str]:
    query = " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM \"{table}\")" for table in tables)
    cursor.execute(query)
    return [row[0] for row in cursor.fetchall()]


def _rows(cursor: Any, table: str) -> Rows:
    cursor.execute(f'SELECT * FROM "{table}" ORDER BY 1')
    return [tuple(row) for row in cursor.fetchall()]


def _restore(cursor: Any, table: str, wanted: Rows) -> None:
    if wanted and _rows(cursor, table) == wanted:
        return
    cursor.execute(f'DELETE FROM "{table}"')
    if wanted:
        holes = ", ".join(["%s"] * len(wanted[0]))
        cursor.executemany(f'INSERT INTO "{table}" VALUES ({holes})', wanted)
