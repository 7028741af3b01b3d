"""The broker's numbers are asked once for all, and a broker that is silent holds nobody up for long."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import eventually
from trading.web import numbers
from trading.web.numbers import WAIT_S, Numbers, Told


def test_who_asks_at_once_is_told_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Told] = []

    def ask() -> Told:
        asked.append(Told())
        return asked[-1]

    monkeypatch.setattr(numbers, "_ask", ask)
    shared = Numbers()
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: shared.get(), range(16)))
    assert len(asked) == 1
    assert all(one is asked[0] for one in told)


def test_a_silent_broker_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()

    def ask() -> Told:
        assert let_go.wait(20)
        return Told()

    monkeypatch.setattr(numbers, "_ask", ask)
    shared = Numbers()
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: shared.get(), range(16)))
    assert time.monotonic() - began < 3 * WAIT_S
    assert all("has not answered for" in one.problem and not one.is_live for one in told)
    let_go.set()
    eventually(lambda: shared.get().is_live, 5)
