"""The loss guard: at each snapshot the day's loss and the drawdown, and the Halt that they call for. It only tightens.

Everything is read from the last snapshot, so a restart forgets nothing. What has been acted on is kept there too: a
level is acted on once a day, so that a person who releases the desk is not halted again at the next snapshot, but a
deeper level is. After a drawdown has halted the desk, the next is measured from there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from broker import gates
from trading.models import Account, AccountSnapshot, Fill, RiskProfile, Strategy
from trading.models.account import AccountKind
from trading.selectors.equity import Level, day_base, deeper, last_snapshot, level_before, level_of
from trading.selectors.limits import desk_profile
from trading.services.suspensions import strategy_suspend

ACTOR = "loss guard"
ZERO = Decimal(0)
# An account's values follow its fills by this much at most.
VALUES_LAG = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a snapshot says of its day; amounts in the base currency, None = not known."""

    day: date
    net: Decimal | None
    base: Decimal | None
    peak: Decimal | None
    flow: Decimal
    level: str

    @property
    def loss(self) -> Decimal:
        """The day's loss as a fraction of its base; 0 where it cannot be told."""
        return _fraction(self.base, self.net)

    @property
    def drawdown(self) -> Decimal:
        """The loss from the highest as a fraction of it; 0 where it cannot be told."""
        return _fraction(self.peak, self.net)


def _fraction(before: Decimal | None, now: Decimal | None) -> Decimal:
    return (before - now) / before if before is not None and now is not None and before > 0 else ZERO


def figures(account: Account, day: date, net: Decimal | None, *, flat: bool) -> Figures:
    """The day's base and the peak as of this snapshot; `flat`: nothing is held. Call it under the account's lock."""
    last = last_snapshot(account.pk)
    level = level_before(last, day, account.kind)
    if net is None:
        return Figures(day, None, None, None, ZERO, level)
    flow = _flow(account, last, net) if flat else ZERO
    base = day_base(last, day)
    peak = None if last is None else (last.peak or last.net_liquidation)
    return Figures(
        day,
        net,
        base=net if base is None else base + flow,
        peak=net if peak is None else max(peak + flow, net),
        flow=flow,
        level=level,
    )


def _flow(account: Account, last: AccountSnapshot | None, net: Decimal) -> Decimal:
    """With nothing held, then and now, and no fill in between, what changed is money that came or went.

    While something is held that cannot be told from a gain or a loss: a withdrawal counts as a loss then, and a
    deposit hides as much of one.
    """
    if last is None or last.net_liquidation is None or AccountSnapshot.objects.get(pk=last.pk).positions:
        return ZERO
    if Fill.objects.filter(account=account, at__gte=last.at - VALUES_LAG).exists():
        return ZERO
    flow: Decimal = net - last.net_liquidation
    return flow


def guard(account: Account, found: Figures, market_at: datetime) -> Figures:
    """Act on the level that the losses call for, if none as strict was acted on this day; the figures to keep.

    Call it in the transaction that keeps the snapshot: the Halt's file is written at once, so a crash in between
    leaves the desk halted, never the level noted and nothing done.
    """
    limits = _limits(account)
    level = level_of(found.loss, found.drawdown, limits)
    if found.net is None or not deeper(level.state, found.level):
        return found
    audit.record(
        EventType.LOSS_LIMIT_REACHED,
        f"account:{account.pk}",
        old_state=found.level,
        new_state=level.state,
        account=account.pk,
        cause=level.message,
        market_at=market_at,
        document={
            "day": found.day,
            "equity": found.net,
            "day_began_at": found.base,
            "highest": found.peak,
            "day_loss": found.loss,
            "drawdown": found.drawdown,
            "limit_reducing": limits.max_daily_loss_reducing,
            "limit_halted": limits.max_daily_loss_halted,
            "limit_drawdown": limits.max_drawdown,
            "profile": f"{limits.name} v{limits.version}",
        },
    )
    _tighten(account, level, market_at)
    rebased = level.state == "HALTED" and found.drawdown >= limits.max_drawdown
    return replace(found, level=level.state, peak=found.net if rebased else found.peak)


def _limits(account: Account) -> RiskProfile:
    """A shadow ledger has its strategy's limits, every other the desk's."""
    if account.kind == AccountKind.SHADOW:
        return _shadowed(account).risk_profile
    return desk_profile()


def _shadowed(account: Account) -> Strategy:
    return Strategy.objects.select_related("risk_profile").get(pk=int(account.pk.removeprefix("SHADOW:")))


def _tighten(account: Account, level: Level, market_at: datetime) -> None:
    """The Halt concerns the broker's accounts; a shadow's strategy is suspended, a replay is bound by its snapshots."""
    if account.kind == AccountKind.SHADOW and level.state == "HALTED":
        strategy_suspend(_shadowed(account).pk, level.message, market_at=market_at, account=account.pk)
    elif account.kind in (AccountKind.PAPER, AccountKind.LIVE):
        # Entries that still work would add to what loses.
        gates.halt_set(level.state, ACTOR, level.message, cancel="entries")
