"""An account's equity against where its day began and its highest, from the last snapshot alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache

from django.db.models import QuerySet

from trading.models import Account, AccountSnapshot, RiskProfile
from trading.models.account import AccountKind

# A snapshot from before a holiday is still where the day began; one from before a long rest is not.
LONGEST_REST = timedelta(days=7)
# Ledgers that no Halt concerns: what was reached there binds them by itself.
OF_THEIR_OWN = (AccountKind.SHADOW, AccountKind.REPLAY)


@dataclass(frozen=True, slots=True)
class Equity:
    """`base`: where the day began; `peak`: the highest; `last`: as of `at` (market time). None = not known.

    `level` is the level of loss that was acted on already this day ("", REDUCING, HALTED). `binds`: nobody else keeps
    orders out at that level, since no Halt concerns this ledger.
    """

    base: Decimal | None
    peak: Decimal | None
    last: Decimal | None
    at: datetime | None
    level: str
    binds: bool

    def day_loss(self, now: Decimal | None = None) -> Decimal | None:
        """The loss of the day as a fraction, at the equity `now` where it is given; negative = a gain."""
        return _lost(self.base, self.last if now is None else now)

    def drawdown(self, now: Decimal | None = None) -> Decimal | None:
        """The loss from the highest equity as a fraction, at the equity `now` where it is given."""
        return _lost(self.peak, self.last if now is None else now)


UNKNOWN = Equity(None, None, None, None, "", binds=False)

LEVELS = ("", "REDUCING", "HALTED")


@dataclass(frozen=True, slots=True)
class Level:
    """The level that a loss calls for, with the code and sentence of the limit that was reached; "" = none."""

    state: str
    code: str = ""
    message: str = ""


def level_of(loss: Decimal, drawdown: Decimal, limits: RiskProfile) -> Level:
    """What these fractions call for: HALTED at the drawdown or the deeper day's loss, REDUCING at the lesser one."""
    if loss >= limits.max_daily_loss_halted:
        return Level(
            "HALTED", "DAY_LOSS", f"the day's loss is {loss:.2%}, HALTED from {limits.max_daily_loss_halted:.2%} on"
        )
    if drawdown >= limits.max_drawdown:
        return Level("HALTED", "DRAWDOWN", f"the drawdown is {drawdown:.2%}, HALTED from {limits.max_drawdown:.2%} on")
    if loss >= limits.max_daily_loss_reducing:
        most = limits.max_daily_loss_reducing
        return Level("REDUCING", "DAY_LOSS", f"the day's loss is {loss:.2%}, REDUCING from {most:.2%} on")
    return Level("")


def deeper(level: str, than: str) -> bool:
    """True where `level` is stricter than the other."""
    return LEVELS.index(level) > LEVELS.index(than)


def _lost(before: Decimal | None, now: Decimal | None) -> Decimal | None:
    if before is None or now is None or not before.is_finite() or not now.is_finite() or before <= 0:
        return None
    return (before - now) / before


def last_snapshot(account_id: str) -> AccountSnapshot | None:
    """The newest snapshot that knows the account's equity."""
    return _known().filter(account=account_id).first()


@cache
def _known() -> QuerySet[AccountSnapshot]:
    return AccountSnapshot.objects.filter(net_liquidation__isnull=False).defer("positions").order_by("-id")


def day_base(last: AccountSnapshot | None, day: date) -> Decimal | None:
    """Where `day` began: what its snapshots say, else the last equity before it, unless that is from long before."""
    if last is None or last.day is None:
        return None
    if last.day >= day:
        base: Decimal | None = last.day_base
        return base
    return last.net_liquidation if day - last.day <= LONGEST_REST else None


def level_before(last: AccountSnapshot | None, day: date, kind: str) -> str:
    """The level that was acted on already: the day's, and in a replay, where nobody releases, any day's HALTED."""
    if last is None or last.day is None:
        return ""
    stays = last.day >= day or (kind == AccountKind.REPLAY and last.limit_reached == "HALTED")
    return last.limit_reached if stays else ""


def equity_read(account: Account, day: date) -> Equity:
    """The account's equity on the exchange's `day`; one indexed query."""
    last = last_snapshot(account.pk)
    return Equity(
        base=day_base(last, day),
        peak=last.peak if last else None,
        last=last.net_liquidation if last else None,
        at=last.market_at if last else None,
        level=level_before(last, day, account.kind),
        binds=account.kind in OF_THEIR_OWN,
    )
