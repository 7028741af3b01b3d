"""Live answers while it is known that the broker is away, and performance over a year of snapshots each minute."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.bench.bench_broker import LIMIT, market, owner, prepared
from tests.bench.frame import Measured, bench, median_of
from tests.support import eventually

ASKED = 100  # times each path
PATHS = ("live/positions", "account/summary", "account/pnl", "live/open-orders", "market/quote?symbol=AAPL")
SESSIONS, MINUTES, TRADES = 250, 390, 5_000
FIRST_DAY = datetime(2025, 1, 6, 14, 30, tzinfo=UTC)


def client() -> Callable[[str], int]:
    """Asks with the key of somebody who may look; the status of the answer."""
    from django.test import Client

    from autotrader.core.clock import system_now
    from autotrader.core.users.keys import Terms, key_create
    from autotrader.core.users.models import User

    user, _ = User.objects.get_or_create(username="bench reader", is_superuser=True)
    terms = Terms("bench", ("read",), system_now() + timedelta(days=1), requests_per_minute=60_000)
    _, text = key_create(terms, user=user, actor="bench")
    asking, headers = Client(SERVER_NAME="localhost"), {"Authorization": f"Bearer {text}"}
    return lambda path: asking.get(f"/api/{path}", headers=headers).status_code


def slowest_in_a_hundred(ask: Callable[[str], int]) -> Measured:
    """The 99th of a hundred times, once the first answer has said that the broker is away."""
    eventually(lambda: ask(PATHS[0]) == 503, LIMIT)
    return Measured(statistics.quantiles([_refused(ask, path) for path in PATHS * ASKED], n=100)[-1])


def _refused(ask: Callable[[str], int], path: str) -> float:
    """How long the refusal takes."""
    began = time.perf_counter()
    if ask(path) != 503:
        raise RuntimeError(f"{path} answers while the broker is away")
    return time.perf_counter() - began


@bench("live 503, owner gone, once known, p99", target=0.1)
def owner_gone() -> Measured:
    """No process owns the connection."""
    from django.conf import settings

    prepared()
    settings.AUTOTRADER_MAY_OWN_BROKER = False
    return slowest_in_a_hundred(client())


@bench("live 503, gateway gone, once known, p99", target=0.1)
def gateway_gone() -> Measured:
    """The owner lives and has nobody to talk to."""
    prepared()
    with ExitStack() as gateway:
        gateway.enter_context(market())
        with owner():
            gateway.close()
            return slowest_in_a_hundred(client())


@contextmanager
def year() -> Iterator[Any]:
    """An account with a snapshot each minute of 250 sessions, and 5,000 trades."""
    from trading.models import Account, AccountSnapshot, Instrument, Trade

    account = Account.objects.create(id="DU-year", kind="paper", base_currency="USD", created_at=FIRST_DAY)
    instrument, _ = Instrument.objects.get_or_create(symbol="YEAR")
    AccountSnapshot.objects.bulk_create(_snapshots(account), batch_size=2000)
    Trade.objects.bulk_create(_trades(account, instrument), batch_size=2000)
    yield account
    AccountSnapshot.objects.filter(account=account).delete()
    Trade.objects.filter(account=account).delete()
    account.delete()


def _snapshots(account: Any) -> Iterator[Any]:
    from trading.models import AccountSnapshot

    for session in range(SESSIONS):
        began = FIRST_DAY + timedelta(days=session)
        for minute in range(MINUTES):
            at = began + timedelta(minutes=minute)
            net = Decimal(100_000 + session * 20 + (minute * 7919) % 997)
            yield AccountSnapshot(
                account=account, cause="watch", at=at, market_at=at, day=at.date(), net_liquidation=net
            )


def _trades(account: Any, instrument: Any) -> Iterator[Any]:
    from trading.models import Trade

    for number in range(TRADES):
        at = FIRST_DAY + timedelta(hours=number)
        yield Trade(
            account=account, instrument=instrument, opening_exec_id=f"year{number}", side="long", state="CLOSED",
            quantity=10, open_quantity=0, entry_price=100, exit_price=101, commission=2,
            pnl=Decimal((number * 31) % 200 - 90), opened_at=at, closed_at=at + timedelta(minutes=30),
        )  # fmt: skip


@bench("performance, a year of minutes, first time", target=2.0)
def first_time() -> Measured:
    """97,500 snapshots and 5,000 trades walked through, as once a process and range of days."""
    from trading.selectors.performance import Question, performance

    prepared()
    with year() as account:
        days = (FIRST_DAY.date() - timedelta(days=number) for number in range(10))
        return median_of(lambda: performance(Question(account, from_day=next(days))), rounds=3)


@bench("performance, a year of minutes, one more", target=0.05)
def one_more() -> Measured:
    """The same once more after each new snapshot: only that one is walked."""
    from trading.models import AccountSnapshot
    from trading.selectors.performance import Question, performance

    prepared()
    with year() as account:
        performance(Question(account))

        def ask() -> None:
            now = FIRST_DAY + timedelta(days=SESSIONS)
            AccountSnapshot.objects.create(
                account=account, cause="watch", at=now, market_at=now, day=now.date(), net_liquidation=100_000
            )
            performance(Question(account))

        return median_of(ask, rounds=50)
