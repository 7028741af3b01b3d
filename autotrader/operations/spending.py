"""What calls of models cost today: research keeps that ledger, and the admin's first page shows it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from research.services import committed
from trading.admin.console import spending_from


def spent_today(now: datetime) -> Decimal:
    """USD spent, and reserved for calls that run, on the day (UTC) of `now`."""
    return committed(f"day:{now:%Y-%m-%d}")


def tell() -> None:
    """Let the admin ask it here."""
    spending_from(spent_today)
