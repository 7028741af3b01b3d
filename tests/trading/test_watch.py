"""When an account is looked at: a minute apart while something is held, once at the close, never for nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.trading.builders import ACCOUNT, NOW, bought, deliver, instrument, summary
from trading.models import AccountSnapshot, Session
from trading.selectors.watched import close_due, may_be_due, watch_due
from trading.services.accounts import snapshot_take

pytestmark = pytest.mark.django_db
CLOSE = datetime(2020, 7, 20, 20, tzinfo=UTC)


@pytest.fixture
def held() -> None:
    """Ten AAPL, whose exchange has a session until 20:00 UTC."""
    bought()
    row = instrument()
    row.time_zone, row.primary_exchange = "US/Eastern", "NASDAQ"
    row.save()
    Session.objects.create(exchange="NASDAQ", day=CLOSE.date(), open=CLOSE - timedelta(hours=6.5), close=CLOSE)


def test_nothing_is_due_where_nothing_ever_was() -> None:
    assert not may_be_due()
    assert not watch_due(ACCOUNT, NOW)
    assert not close_due(ACCOUNT, NOW)


@pytest.mark.parametrize(("after", "due"), [(0, False), (59, False), (60, True), (3600, True), (-1, True)])
def test_a_snapshot_a_minute_while_something_is_held(held: None, after: int, due: bool) -> None:
    assert may_be_due()
    assert watch_due(ACCOUNT, NOW + timedelta(seconds=after)) is due


def test_what_holds_nothing_is_not_watched() -> None:
    deliver(summary())
    assert not watch_due(ACCOUNT, NOW + timedelta(hours=1))


@pytest.mark.parametrize(
    ("at", "due"),
    [
        (CLOSE - timedelta(microseconds=1), False),
        (CLOSE, True),
        (datetime(2020, 7, 21, 3, 59, tzinfo=UTC), True),
        (datetime(2020, 7, 21, 4, 0, tzinfo=UTC), False),
    ],
)
def test_the_close_is_due_until_the_exchanges_day_ends(held: None, at: datetime, due: bool) -> None:
    assert close_due(ACCOUNT, at) is due


def test_the_close_is_taken_once_and_then_there_is_rest(held: None) -> None:
    snapshot_take(summary(), (), cause="close", market_at=CLOSE)
    assert not close_due(ACCOUNT, CLOSE + timedelta(minutes=1))
    assert AccountSnapshot.objects.get(cause="close").day == CLOSE.date()


def test_another_exchange_that_closes_earlier_is_not_the_accounts(held: None) -> None:
    noon = CLOSE - timedelta(hours=4)
    Session.objects.create(exchange="LSE", day=CLOSE.date(), open=noon - timedelta(hours=8), close=noon)
    assert not close_due(ACCOUNT, noon)
