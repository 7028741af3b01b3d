"""Times of PostgreSQL read by Python's own parser are the times that the adapter reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from autotrader.core.ops.utc_times import _register

TIMES = (
    datetime(2026, 11, 21, 12, 0, 0, 123456, UTC),
    datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
    datetime(1901, 1, 1, 0, 0, 0, 100000, UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
)


def read(*values: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join("%s::timestamptz" for _ in values), values)
        row = cursor.fetchone()
    assert row is not None
    return list(row)


@pytest.fixture
def quick_times(transactional_db: None) -> Any:
    connection.ensure_connection()
    _register(connection)
    yield
    connection.close()


@pytest.mark.postgres
def test_what_is_written_in_utc_is_read_as_it_was(quick_times: None) -> None:
    found = read(*(time.isoformat() for time in TIMES))
    assert found == list(TIMES)
    assert {time.utcoffset() for time in found} == {timedelta(0)}


@pytest.mark.postgres
def test_nothing_and_other_zones_are_left_to_the_adapter(quick_times: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT NULL::timestamptz")
        assert cursor.fetchone() == (None,)
        cursor.execute("SET TIME ZONE 'Asia/Kolkata'")
    assert read(TIMES[0].isoformat())[0].isoformat()[:26] == "2026-11-21T17:30:00.123456"
