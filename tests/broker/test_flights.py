"""Identical reads at the same time are one read; what must be fresh is never shared."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from broker.errors import BrokerUnavailable, MarketDataError
from broker.service.flights import Flights
from tests.support import PATIENCE_S, eventually

LIMIT = PATIENCE_S


class Broker:
    """Counts what it is asked and answers when told to."""

    def __init__(self) -> None:
        self.asked = 0
        self._asking = threading.Lock()
        self.error: Exception | None = None
        self.gate = threading.Event()

    def ask(self, timeout: float) -> int:
        with self._asking:
            self.asked += 1
            number = self.asked
        if not self.gate.wait(min(timeout, LIMIT)):
            raise BrokerUnavailable("too late")
        if self.error is not None:
            raise self.error
        return number


@pytest.fixture
def broker() -> Broker:
    return Broker()


def sharing(flights: Flights, question: tuple[str, int]) -> int:
    """How many wait for the first one's answer."""
    flight = flights._flying.get(question)
    return len(flight.landed._cond._waiters) if flight else 0  # type: ignore[attr-defined]


def crowd(broker: Broker, name: str, count: int = 5) -> Callable[[], list[Future[Any]]]:
    """So many callers with one question, all asking or waiting; the result waits for their answers."""
    flights, pool = Flights(), ThreadPoolExecutor(count)
    waiting = [pool.submit(flights.share, (name, 7), broker.ask, LIMIT) for _ in range(count)]
    eventually(lambda: broker.asked + sharing(flights, (name, 7)) == count)

    def end() -> list[Future[Any]]:
        broker.gate.set()
        pool.shutdown()
        return waiting

    return end


def test_who_asks_the_same_meanwhile_shares_the_answer(broker: Broker) -> None:
    end = crowd(broker, "bars")
    assert [future.result() for future in end()] == [1] * 5


def test_a_later_question_is_a_new_one(broker: Broker) -> None:
    broker.gate.set()
    flights = Flights()
    assert [flights.share(("bars", 7), broker.ask, LIMIT) for _ in range(2)] == [1, 2]
    assert flights.share(("bars", 8), broker.ask, LIMIT) == 3


@pytest.mark.parametrize("name", ["open_orders", "executions", "positions"])
def test_what_must_not_be_older_than_its_question_is_asked_by_each(broker: Broker, name: str) -> None:
    end = crowd(broker, name)
    assert sorted(future.result() for future in end()) == [1, 2, 3, 4, 5]


def test_a_refusal_is_shared_too(broker: Broker) -> None:
    broker.error = MarketDataError("no data")
    end = crowd(broker, "bars")
    assert {type(future.exception()) for future in end()} == {MarketDataError}


def test_who_has_more_time_than_the_first_asks_again(broker: Broker) -> None:
    flights = Flights()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(flights.share, ("bars", 7), broker.ask, 0.2)
        eventually(lambda: broker.asked == 1)
        second = pool.submit(flights.share, ("bars", 7), broker.ask, LIMIT)
        assert isinstance(first.exception(), BrokerUnavailable)
        eventually(lambda: broker.asked == 2)
        broker.gate.set()
        assert second.result() == 2


def test_who_has_less_time_than_the_first_does_not_wait_for_it(broker: Broker) -> None:
    flights = Flights()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(flights.share, ("bars", 7), broker.ask, LIMIT)
        eventually(lambda: broker.asked == 1)
        with pytest.raises(BrokerUnavailable):
            flights.share(("bars", 7), broker.ask, 0.05)
        broker.gate.set()
        assert first.result() == 1
