"""The loss guard: from snapshots alone it tightens the Halt, once a level and day, and never loosens it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from autotrader.core import audit
from autotrader.core.audit.models import Event
from broker import gates, types
from broker.gates import HaltState
from tests.trading.builders import ACCOUNT, NOW, D, bought, deliver, strategy, summary
from trading.models import AccountSnapshot, RiskProfile, Strategy
from trading.selectors.equity import equity_read
from trading.selectors.exchange_days import exchange_day
from trading.services.accounts import account_ensure, shadow_account, snapshot_take
from trading.services.strategies import desk_profile_ensure, risk_profile_save

OPEN = datetime(2020, 7, 20, 13, 30, tzinfo=UTC)  # Monday, half past nine in New York
NEXT = OPEN + timedelta(days=1)
HELD = (types.Position(ACCOUNT, 265598, "AAPL", D(10), D(100), None, None, None, None),)


@pytest.fixture(autouse=True)
def state_folder(db: None, tmp_path: Path, settings: Any) -> Path:
    """A state folder of the test's own, since the Halt is a file too."""
    settings.AUTOTRADER_STATE_DIR = tmp_path
    settings.AUTOTRADER_BROKER = "paper"
    return tmp_path


def snap(
    net: str | None,
    at: datetime = OPEN,
    *,
    account: str = ACCOUNT,
    cause: str = "watch",
    held: Sequence[types.Position] = HELD,
) -> AccountSnapshot:
    """One snapshot with this net liquidation."""
    said = replace(summary(net or "0"), account=account, net_liquidation=None if net is None else D(net))
    return snapshot_take(said, held, cause=cause, market_at=at)


@pytest.fixture
def release(django_capture_on_commit_callbacks: Any) -> Callable[[], None]:
    """A person releases the desk; the file goes once the row is committed."""

    def done() -> None:
        with django_capture_on_commit_callbacks(execute=True):
            gates.halt_release("ann", "seen, and understood")

    return done


def halt() -> str:
    return gates.halt_reading().state.value


def reached() -> list[Event]:
    return list(Event.objects.filter(type="LOSS_LIMIT_REACHED").order_by("seq"))


@pytest.mark.parametrize(
    ("net", "state"),
    [
        ("98000.01", "ACTIVE"),
        ("98000.00", "REDUCING"),
        ("96000.01", "REDUCING"),
        ("96000.00", "HALTED"),
        ("50000", "HALTED"),
        ("120000", "ACTIVE"),
    ],
)
def test_the_days_loss_moves_the_desk_at_each_limit_exactly(net: str, state: str) -> None:
    snap("100000")
    snap(net, OPEN + timedelta(hours=1))
    assert halt() == state
    assert [event.new_state for event in reached()] == ([] if state == "ACTIVE" else [state])


def test_it_says_which_numbers_it_acted_on_and_ends_entries_that_work() -> None:
    snap("100000")
    snap("95000", OPEN + timedelta(hours=1))
    (event,) = reached()
    assert (event.account, event.subject) == (ACCOUNT, f"account:{ACCOUNT}")
    assert "5.00%" in event.cause
    assert '"day_began_at":"100000.0000"' in event.document
    assert '"limit_halted":"0.04"' in event.document
    reading = gates.halt_reading()
    assert (reading.actor, reading.cancel) == ("loss guard", "entries")


def test_the_day_is_measured_from_the_last_equity_before_it() -> None:
    snap("101000", OPEN)
    snap("100000", OPEN + timedelta(hours=6), cause="close")
    snap("97900", NEXT)
    assert AccountSnapshot.objects.latest("id").day_base == D(100_000)
    assert halt() == "REDUCING"


def test_after_a_long_rest_the_day_begins_with_its_first_snapshot() -> None:
    snap("100000")
    snap("90000", OPEN + timedelta(days=8))
    assert AccountSnapshot.objects.latest("id").day_base == D(90_000)
    assert halt() == "ACTIVE"


def test_evening_in_new_york_still_belongs_to_the_day() -> None:
    snap("100000")
    snap("97000", datetime(2020, 7, 21, 3, 59, tzinfo=UTC))
    assert reached()[0].document.count("2020-07-20") == 1
    snap("94000", datetime(2020, 7, 21, 4, 0, tzinfo=UTC))
    assert AccountSnapshot.objects.latest("id").day_base == D(97_000)


def test_a_level_is_acted_on_once_a_day_and_a_deeper_one_again(release: Callable[[], None]) -> None:
    snap("100000")
    snap("97900", OPEN + timedelta(hours=1))
    release()
    snap("97500", OPEN + timedelta(hours=2))
    assert halt() == "ACTIVE", "a person has released that level"
    snap("95900", OPEN + timedelta(hours=3))
    assert halt() == "HALTED"
    release()
    snap("90000", OPEN + timedelta(hours=4))
    assert halt() == "ACTIVE"
    assert [event.new_state for event in reached()] == ["REDUCING", "HALTED"]


def test_the_next_day_is_a_new_day(release: Callable[[], None]) -> None:
    snap("100000")
    snap("97900", OPEN + timedelta(hours=1))
    release()
    snap("95900", NEXT)
    assert halt() == "REDUCING", "measured from 97,900, not from 100,000"


def test_it_never_loosens_a_halt() -> None:
    snap("100000")
    gates.halt_set(HaltState.HALTED, "ann", "by hand")
    snap("97900", OPEN + timedelta(hours=1))
    snap("120000", OPEN + timedelta(hours=2))
    reading = gates.halt_reading()
    assert (reading.state, reading.actor) == (HaltState.HALTED, "ann")


def test_a_drawdown_halts_over_many_days_and_is_measured_anew_once_it_has(release: Callable[[], None]) -> None:
    worth = 100_000
    for day in range(12):
        snap(str(worth), OPEN + timedelta(days=day))
        worth = round(worth * 0.985)
        if halt() == "HALTED":
            break
    assert halt() == "HALTED"
    (event,) = reached()
    assert "drawdown" in event.cause
    last = AccountSnapshot.objects.latest("id")
    assert last.peak == last.net_liquidation
    release()
    assert last.net_liquidation is not None
    snap(str(last.net_liquidation * D("0.99")), last.market_at + timedelta(days=1))
    assert halt() == "ACTIVE"


def test_a_restart_forgets_nothing(state_folder: Path) -> None:
    """Everything is in the rows: the same answer from a process that has seen none of it."""
    snap("100000")
    snap("97900", OPEN + timedelta(hours=1))
    day = exchange_day(OPEN, "")
    read = equity_read(account_ensure(ACCOUNT), day)
    assert (read.base, read.peak, read.last, read.level) == (D(100_000), D(100_000), D("97900"), "REDUCING")
    assert read.day_loss() == Decimal("0.021")
    assert equity_read(account_ensure(ACCOUNT), day + timedelta(days=1)).level == ""


def test_a_crash_before_the_commit_leaves_the_desk_halted_and_the_level_to_be_acted_on() -> None:
    snap("100000")
    with pytest.raises(RuntimeError), audit.recording():
        snap("95000", OPEN + timedelta(hours=1))
        raise RuntimeError("the process dies here")
    assert halt() == "HALTED", "the file was written first"
    assert AccountSnapshot.objects.latest("id").limit_reached == ""


def test_an_equity_that_is_not_known_acts_on_nothing_and_spoils_nothing() -> None:
    snap("100000")
    snap(None, OPEN + timedelta(hours=1))
    assert halt() == "ACTIVE"
    snap("97900", OPEN + timedelta(hours=2))
    assert halt() == "REDUCING"


def test_the_desks_own_limits_are_the_ones_that_count() -> None:
    profile = desk_profile_ensure(actor="test")
    profile.max_daily_loss_reducing, profile.max_daily_loss_halted = D("0.5"), D("0.6")
    risk_profile_save(profile, actor="ann")
    strategy(limits={"max_daily_loss_reducing": D("0.001")})
    snap("100000")
    snap("90000", OPEN + timedelta(hours=1))
    assert halt() == "ACTIVE"
    assert RiskProfile.objects.get(is_desk=True).version == 2


def test_each_account_has_a_day_of_its_own() -> None:
    snap("100000")
    snap("50000", account="DU7654321")
    snap("99000", OPEN + timedelta(hours=1))
    assert halt() == "ACTIVE"


# Money that comes or goes


def test_with_nothing_held_a_deposit_or_a_withdrawal_is_neither_gain_nor_loss() -> None:
    snap("100000", held=())
    snap("60000", OPEN + timedelta(hours=1), held=())
    last = AccountSnapshot.objects.latest("id")
    assert (last.flow, last.day_base, last.peak) == (D(-40_000), D(60_000), D(60_000))
    snap("160000", OPEN + timedelta(hours=2), held=())
    assert halt() == "ACTIVE"
    snap("156700", OPEN + timedelta(hours=3))
    assert halt() == "REDUCING", "the loss is measured from what is there now"


def test_while_something_is_held_a_withdrawal_counts_as_a_loss() -> None:
    snap("100000")
    snap("95000", OPEN + timedelta(hours=1), held=())
    assert halt() == "HALTED"


def test_after_a_fill_what_changes_is_gain_or_loss() -> None:
    bought()
    snap("100000", held=())
    snap("95000", OPEN + timedelta(hours=1), held=())
    assert halt() == "HALTED"


# Ledgers of their own


def test_a_replay_halts_nothing_but_itself(state_folder: Path) -> None:
    snap("100000", account="DUR0000001")
    snap("90000", OPEN + timedelta(hours=1), account="DUR0000001")
    assert halt() == "ACTIVE"
    assert not gates.halt_file(state_folder).exists()
    later = equity_read(account_ensure("DUR0000001"), exchange_day(NEXT, ""))
    assert (later.level, later.binds) == ("HALTED", True), "nobody is there to release it"
    assert reached()[0].account == "DUR0000001"


def test_a_shadow_ledger_suspends_its_own_strategy_by_its_own_limits() -> None:
    row = strategy(mode="shadow", limits={"max_daily_loss_halted": D("0.03")})
    account = shadow_account(row, "USD").pk
    snap("100000", account=account)
    snap("97500", OPEN + timedelta(hours=1), account=account)
    assert Strategy.objects.get(pk=row.pk).suspended_at is None, "no new entries that day, which needs no suspension"
    snap("97000", OPEN + timedelta(hours=2), account=account)
    assert Strategy.objects.get(pk=row.pk).suspended_at is not None
    assert halt() == "ACTIVE"


# What is kept


def test_a_close_is_kept_once_a_day() -> None:
    snap("100000", cause="close")
    snap("100100", OPEN + timedelta(minutes=1), cause="close")
    snap("100200", NEXT, cause="close")
    assert list(AccountSnapshot.objects.order_by("id").values_list("cause", flat=True)) == ["close", "watch", "close"]


def test_a_fill_is_followed_by_a_snapshot_that_is_judged() -> None:
    deliver(summary("100000"))
    bought()
    deliver(replace(summary("95000"), time=NOW + timedelta(minutes=9)))
    assert halt() == "HALTED"
