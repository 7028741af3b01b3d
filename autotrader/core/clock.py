"""The one module that reads the system clock."""

from __future__ import annotations

from datetime import UTC, datetime


def system_now() -> datetime:
    """The system's time, aware UTC."""
    return datetime.now(UTC)
