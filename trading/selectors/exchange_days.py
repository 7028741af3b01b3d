"""The exchange's calendar: which of its days a moment belongs to, and when that day began."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import QuerySet

from trading.models import Order

HOME = "America/New_York"  # the zone of an account that has traded nothing yet


def zone_of(name: str) -> ZoneInfo:
    """The zone of this name, or `HOME` where there is no such zone: limits of a day must have some day."""
    try:
        return ZoneInfo(name or HOME)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(HOME)


def exchange_day(moment: datetime, time_zone: str) -> date:
    """The calendar day of `moment` (aware) where the exchange is."""
    return moment.astimezone(zone_of(time_zone)).date()


def day_beginning(day: date, time_zone: str) -> datetime:
    """The first instant of the exchange's `day`, aware UTC; a day on which clocks change has 23 or 25 hours."""
    return datetime.combine(day, time.min, zone_of(time_zone)).astimezone(UTC)


def day_began(moment: datetime, time_zone: str) -> datetime:
    """When the exchange's day of `moment` began, aware UTC: what "today" means in a limit."""
    return day_beginning(exchange_day(moment, time_zone), time_zone)


def account_zone(account_id: str) -> str:
    """The zone whose days the account's losses are counted by: that of the first contract it ever traded."""
    return _zones().filter(account=account_id).first() or HOME


@cache
def _zones() -> QuerySet[Order, Any]:
    zones = Order.objects.exclude(instrument__time_zone="").order_by("id")
    return zones.values_list("instrument__time_zone", flat=True)
