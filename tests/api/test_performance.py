"""Performance over REST: whose it is, of which days, and what a limited key is told of it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.core.keys import bearer, key_of, person
from tests.trading.builders import ACCOUNT, bought, deliver, fill, strategy, summary
from trading.models import Strategy
from trading.selectors.performance import Performance
from trading.services.accounts import account_ensure, shadow_account, snapshot_take

CLOSE = datetime(2020, 7, 20, 20, 0, tzinfo=UTC)
NUMBERS = itertools.count()


class Program:
    """A key of somebody who sees performance, with what it is limited to."""

    def __init__(self, **limits: Any) -> None:
        _, self.text = key_of(person(f"p{next(NUMBERS)}", "trading.view_accountsnapshot"), "read", **limits)
        self.client = Client()

    def get(self, query: str = "", **headers: str) -> Any:
        return self.client.get(f"/api/history/performance{query}", headers=bearer(self.text) | headers)

    def refused(self, query: str) -> tuple[int, str]:
        answer = self.get(query)
        return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
def traded(db: None, tmp_path: Path, settings: Any) -> Strategy:
    """Two snapshots of the account, and a trade of a strategy that gained 100 before its commission."""
    settings.AUTOTRADER_STATE_DIR = tmp_path
    row = strategy()
    snapshot_take(summary("10000"), (), cause="watch", market_at=CLOSE - timedelta(days=3))
    target = bought(row)[2]
    deliver(fill(target, "10", "110", time=CLOSE))
    snapshot_take(summary("10099"), (), cause="watch", market_at=CLOSE)
    return row


def test_the_whole_account_and_one_strategy(traded: Strategy) -> None:
    told = Program().get("?from=2020-07-20&to=2020-07-20").json()
    assert set(told) == set(Performance.__dataclass_fields__)
    assert (told["account"], told["currency"], told["fx"]) == (ACCOUNT, "USD", "base_currency_only")
    assert (told["equity"]["change"], told["equity"]["time_weighted_return"]) == ("99.0000", "0.009900")
    assert (told["trades"]["count"], told["trades"]["net"], told["fees_pending"]) == (1, "99.0000", 1)
    assert Program().get("?to=2020-07-19").json()["trades"]["count"] == 0
    own = Program().get(f"?strategy={traded.name}").json()
    assert (own["strategies"], own["trades"]["count"], own["equity"]["start"]) == ([traded.name], 1, None)


def test_a_strategy_limited_key_sees_its_trades_and_not_the_equity(traded: Strategy) -> None:
    mine, others = Program(strategies=[traded.pk]), Program(strategies=[traded.pk + 1])
    assert (mine.get().json()["trades"]["count"], mine.get().json()["equity"]["end"]) == (1, None)
    assert others.get().json()["trades"]["count"] == 0
    for query in (f"?strategy={traded.name}", "?strategy=nosuch"):
        assert others.refused(query) == (403, "KEY_LIMITED")
    assert mine.refused("?strategy=nosuch") == (403, "KEY_LIMITED")


def test_an_account_limited_key_sees_its_own_account(traded: Strategy) -> None:
    shadow = shadow_account(traded, "USD")
    assert Program(accounts=[ACCOUNT]).get().json()["account"] == ACCOUNT
    only_shadow = Program(accounts=[shadow.pk])
    assert only_shadow.refused("") == (403, "KEY_LIMITED")
    assert only_shadow.refused(f"?account={ACCOUNT}") == (403, "KEY_LIMITED")
    assert only_shadow.get(f"?account={shadow.pk}").json()["account"] == shadow.pk


def test_without_an_account_named_it_is_the_one_that_was_last_seen(traded: Strategy) -> None:
    account_ensure("DU7654321")
    assert Program().get().json()["account"] == ACCOUNT
    assert Program().get("?account=DU7654321").json()["equity"]["snapshots"] == 0


def test_who_has_this_very_answer_is_told_so(traded: Strategy) -> None:
    program = Program()
    tag = program.get()["ETag"]
    assert program.get(**{"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("?from=2020-07-21&to=2020-07-20", "INVALID"),
        ("?from=0001-01-01", "INVALID"),
        ("?to=9999-12-31", "INVALID"),
        ("?from=yesterday", "INVALID"),
        ("?account=nosuch", "UNKNOWN_ACCOUNT"),
        ("?strategy=nosuch", "UNKNOWN_STRATEGY"),
        ("?since=2020-07-20", "UNKNOWN_FIELD"),
    ],
)
def test_a_wrong_question_is_refused(db: None, query: str, code: str) -> None:
    assert Program().refused(query) == (422, code)
