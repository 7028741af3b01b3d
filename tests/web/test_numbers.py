"""The broker's numbers are asked once for all, and a broker that is silent holds nobody up for long."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from autotrader.core.clock import system_now
from broker import types
from tests.support import eventually
from tests.trading.builders import ACCOUNT, NOW, D, quote, status, summary
from trading.web import numbers
from trading.web.numbers import MOST_PRICES, Histories, Numbers, Price, Prices, Told

LONG = 600.0  # seconds that no test takes


def kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks late, on a busy machine, still asks at once."""
    monkeypatch.setattr(numbers, "KEPT_S", LONG)


def gives_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page does not wait for what never comes in this test."""
    monkeypatch.setattr(numbers, "WAIT_S", 0.05)


def test_who_asks_at_once_is_told_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Told] = []

    def ask() -> Told:
        asked.append(Told())
        return asked[-1]

    monkeypatch.setattr(numbers, "_ask", ask)
    kept_for_long(monkeypatch)
    shared = Numbers()
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: shared.get(), range(16)))
    assert len(asked) == 1
    assert all(one is asked[0] for one in told)


def test_a_silent_broker_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()

    def ask() -> Told:
        assert let_go.wait(60)
        return Told()

    monkeypatch.setattr(numbers, "_ask", ask)
    monkeypatch.setattr(numbers, "WAIT_S", 1.0)
    shared = Numbers()
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: shared.get(), range(16)))
    began = time.monotonic()
    told += [shared.get() for _ in range(100)]
    assert time.monotonic() - began < 30, "the second is not waited for anew, a hundred times"
    assert all("has not answered for" in one.problem and not one.is_live for one in told)
    let_go.set()
    eventually(lambda: shared.get().is_live)


def test_an_answer_that_nobody_fetched_is_not_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go, asked = threading.Event(), []

    def ask() -> Told:
        asked.append(1)
        assert let_go.wait(60)
        return Told(problem=f"answer {len(asked)}")

    monkeypatch.setattr(numbers, "_ask", ask)
    shared = Numbers()
    with monkeypatch.context() as patch:
        gives_up_soon(patch)
        assert "has not answered for" in shared.get().problem
    late = shared._asked
    assert late is not None
    let_go.set()
    late.result(60)
    shared._came_at -= LONG  # the page was closed, and somebody looks later
    assert shared.get().problem == "answer 2"


def test_an_answer_that_cannot_be_read_is_said_and_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def ask() -> Told:
        asked.append(1)
        if len(asked) == 1:
            raise KeyError("equity")
        return Told()

    monkeypatch.setattr(numbers, "_ask", ask)
    shared = Numbers()
    assert shared.get().problem == "The broker's answer cannot be read: KeyError."
    eventually(lambda: shared.get().is_live)
    assert len(asked) == 2


def test_a_slow_answer_is_told_to_who_still_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(numbers, "_ask", lambda: Told(problem="" if let_go.wait(60) else "never"))
    shared = Numbers()
    with monkeypatch.context() as patch:
        gives_up_soon(patch)
        assert not shared.get().is_live
    late = shared._asked
    assert late is not None
    shared._asked_at -= LONG
    let_go.set()
    answer = late.result(60)
    assert shared.get() is answer


def test_who_asks_soon_is_not_held_up_and_the_answer_is_nobody_else_s(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go, asked = threading.Event(), []

    def ask() -> Told:
        asked.append(1)
        assert let_go.wait(60)
        return Told()

    monkeypatch.setattr(numbers, "_ask", ask)
    kept_for_long(monkeypatch)
    shared = Numbers()
    assert shared.soon(0.01) is None
    assert shared.soon(0.01) is None
    let_go.set()
    answer = shared.soon(LONG)
    assert answer is not None
    assert answer.is_live
    assert shared.soon(0.01) is shared.get() is answer, "kept like any other"
    assert len(asked) == 1


def test_who_asks_soon_is_told_that_a_broker_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(numbers, "_ask", lambda: Told(problem="" if let_go.wait(60) else "never"))
    shared = Numbers()
    assert shared.soon(0.01) is None
    gives_up_soon(monkeypatch)
    shared._asked_at -= LONG
    told = shared.soon(0.01)
    assert told is not None
    assert "has not answered for" in told.problem
    let_go.set()


def test_tabs_that_show_a_price_ask_for_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[int] = Counter()

    def ask(con_id: int) -> Price:
        asked[con_id] += 1
        return Price(replace(quote(), con_id=con_id))

    monkeypatch.setattr(numbers, "_ask_price", ask)
    kept_for_long(monkeypatch)
    shared = Prices()
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda number: shared.get(1 + number % 2), range(16)))
    assert asked == {1: 1, 2: 1}
    assert [one.quote.con_id for one in told if one.quote] == [1, 2] * 8


def test_the_prices_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "_ask_price", lambda con_id: Price(problem=str(con_id)))
    shared = Prices()
    for con_id in range(MOST_PRICES + 20):
        assert shared.get(con_id).problem == str(con_id)
    assert len(shared._shared) == MOST_PRICES


def test_a_silent_price_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(numbers, "_ask_price", lambda _: Price(quote() if let_go.wait(60) else None))
    shared = Prices()
    with monkeypatch.context() as patch:
        gives_up_soon(patch)
        assert "has not answered for" in shared.get(1).problem
    let_go.set()
    eventually(lambda: shared.get(1).quote is not None)


def test_without_an_owner_each_says_why(db: None) -> None:
    assert numbers._ask_history().notes is None
    for told in (numbers._ask_history(), numbers._ask_price(1), Histories().get(), Prices().get(1)):
        assert "broker" in told.problem


def told(values_at: datetime | None, results_at: datetime | None, *held: types.Position) -> Told:
    pnl = types.ProfitAndLoss(ACCOUNT, D(1), D(2), D(3), (), NOW, received_at=results_at)
    return Told(status(), replace(summary(), received_at=values_at), held, (), pnl)


def held(received_at: datetime | None, priced_at: datetime | None) -> types.Position:
    return types.Position(
        ACCOUNT, 1, "A", D(1), D(1), D(1), D(1), D(1), D(1), received_at=received_at, priced_at=priced_at
    )


def test_numbers_bear_the_time_at_which_the_owner_received_them() -> None:
    now = system_now()
    values, results = told(now - timedelta(seconds=170), now - timedelta(seconds=3)).account_stamps
    assert (values.name, values.at, values.late) == ("values", now - timedelta(seconds=170), "")
    assert (results.name, results.at, results.late) == ("results", now - timedelta(seconds=3), "")
    silent = (now - timedelta(seconds=241), now - timedelta(hours=1))
    values, results = told(*silent, held(now, now)).account_stamps
    assert values.late == "not renewed for 4 min: TWS renews them every 3 minutes"
    assert results.late == "not renewed for 60 min: the broker tells them when they change"
    assert told(*silent).account_stamps[1].late == "", "of nothing there is no result that could change"
    assert told(None, None).account_stamps == [], "what was never sent has no time"
    assert Told(problem="away").account_stamps == []


def test_the_oldest_of_the_holdings_is_what_is_told() -> None:
    now = system_now()
    old = now - timedelta(minutes=10)
    rows = (held(now, old), held(now, now), held(now, None))
    stamps = {stamp.name: stamp for stamp in told(now, now, *rows).position_stamps}
    assert stamps["holdings"].at == now
    assert stamps["prices"].at == old
    assert "10 min" in stamps["prices"].late
    empty = told(now, now)
    assert [(stamp.name, stamp.at) for stamp in empty.position_stamps] == [("holdings", empty.asked_at)]
