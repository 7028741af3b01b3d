"""Which accounts need a snapshot now: one a minute while something is held, and one at the exchange's close."""

from __future__ import annotations

from datetime import datetime, timedelta

from trading.models import AccountSnapshot, Instrument, Session, Trade
from trading.models.account import AccountKind
from trading.selectors.equity import last_snapshot
from trading.selectors.exchange_days import account_zone, day_began, exchange_day

EVERY = timedelta(minutes=1)
AT_THE_BROKER = (AccountKind.PAPER, AccountKind.LIVE)
DAY = timedelta(days=1)


def is_held(account_id: str) -> bool:
    """True where a trade of the account is open, whoever opened it."""
    return Trade.objects.filter(account=account_id, state="OPEN").exists()


def may_be_due() -> bool:
    """False where no snapshot can be due, whatever the market's time: nothing is held, and the last day is closed."""
    last = AccountSnapshot.objects.filter(account__kind__in=AT_THE_BROKER).order_by("-id").first()
    if last is None:
        return False
    return is_held(last.account_id) or not _is_closed(last)


def _is_closed(last: AccountSnapshot) -> bool:
    return AccountSnapshot.objects.filter(account=last.account_id, day=last.day, cause="close").exists()


def watch_due(account_id: str, market_now: datetime) -> bool:
    """True while something is held and the last snapshot is a minute old by the market's clock."""
    if not is_held(account_id):
        return False
    last = last_snapshot(account_id)
    return last is None or not timedelta() <= market_now - last.market_at < EVERY


def close_due(account_id: str, market_now: datetime) -> bool:
    """True once a day from the close on, where the exchanges of the account's zone had a session and it was seen.

    The close of a day that is over is not made up for: the first snapshot of a day is measured against the last one
    before it.
    """
    zone = account_zone(account_id)
    began = day_began(market_now, zone)
    exchanges = Instrument.objects.filter(time_zone=zone).exclude(primary_exchange="").values("primary_exchange")
    sessions = Session.objects.filter(exchange__in=exchanges, close__gte=began, close__lt=began + DAY + EVERY * 60)
    closes = [
        at for at in sessions.values_list("close", flat=True) if exchange_day(at, zone) == exchange_day(began, zone)
    ]
    if not closes or max(closes) > market_now:
        return False
    today = AccountSnapshot.objects.filter(account=account_id, day=exchange_day(market_now, zone), cause="close")
    return not today.exists()
