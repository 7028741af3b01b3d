"""Queries that take long are told in the log, with the id of what asked them and without their values."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from autotrader.core.ops import measures

logger = logging.getLogger("autotrader.queries")
SHOWN = 2000


def connect() -> None:
    """Watch every connection of this process from its beginning."""
    connection_created.connect(_watch, dispatch_uid="slow_queries")


def _watch(connection: BaseDatabaseWrapper, **options: Any) -> None:
    if _timed not in connection.execute_wrappers:
        connection.execute_wrappers.append(_timed)


def _timed(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    began = time.perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        ms = (time.perf_counter() - began) * 1000
        if ms > settings.AUTOTRADER_SLOW_QUERY_MS:
            measures.slow_query(os.environ.get("AUTOTRADER_PROCESS_ROLE", "command"))
            logger.warning("slow query", extra={"ms": round(ms, 1), "sql": sql[:SHOWN]})
