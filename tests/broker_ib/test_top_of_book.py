"""What ticks make of a quote: what is no number never becomes one, and the feed is labelled as it is."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.ib.top_of_book import TopOfBook
from tests.broker_ib.desk import CLOSE
from tests.broker_ib.test_hours import SPY

BID, ASK, LAST, HIGH, LOW, CLOSING, OPEN = 1, 2, 4, 6, 7, 9, 14
DELAYED_BID, DELAYED_ASK, DELAYED_LAST = 66, 67, 68
UNSET = 1.7976931348623157e308
PRICE_FIELDS = ("bid", "ask", "last", "open", "high", "low", "close")
SIZE_FIELDS = ("bid_size", "ask_size", "last_size", "volume")


def book() -> TopOfBook:
    return TopOfBook(lambda: CLOSE)


def test_each_tick_has_its_place() -> None:
    top = book()
    for kind, price in ((BID, 99.99), (ASK, 100.01), (LAST, 100.0), (HIGH, 101), (LOW, 98), (CLOSING, 97), (OPEN, 99)):
        top.price(kind, price, 300)
    top.size(8, 12_345)
    quote = top.quote(SPY)
    assert (quote.bid, quote.ask, quote.last) == (Decimal("99.99"), Decimal("100.01"), Decimal(100))
    assert (quote.high, quote.low, quote.close, quote.open) == (Decimal(101), Decimal(98), Decimal(97), Decimal(99))
    assert (quote.bid_size, quote.ask_size, quote.last_size) == (Decimal(300),) * 3
    assert quote.volume == 12_345
    assert (quote.feed, quote.halted, quote.time) == ("live", False, CLOSE)


@pytest.mark.parametrize("nothing", [-1.0, 0.0, math.nan, math.inf, UNSET])
def test_what_is_no_price_is_none(nothing: float) -> None:
    top = book()
    for kind in (BID, ASK, LAST, HIGH, LOW, CLOSING, OPEN):
        top.price(kind, nothing, 0)
    quote = top.quote(SPY)
    assert [getattr(quote, name) for name in PRICE_FIELDS] == [None] * 7
    assert (quote.bid_size, quote.ask_size) == (None, None)
    assert not top.has_price()
    assert top.is_complete("STK")  # the broker has said that there is none


@given(st.lists(st.tuples(st.integers(0, 100), st.floats(), st.floats()), max_size=30))
def test_no_tick_makes_a_number_of_what_is_none(ticks: list[tuple[int, float, float]]) -> None:
    top = book()
    for kind, price, size in ticks:
        top.price(kind, price, size)
        top.size(kind, size)
    quote = top.quote(SPY)
    for name in PRICE_FIELDS:
        value = getattr(quote, name)
        assert value is None or (value.is_finite() and value > 0)
    for name in SIZE_FIELDS:
        value = getattr(quote, name)
        assert value is None or (value.is_finite() and value >= 0)


def test_delayed_ticks_say_by_themselves_that_they_are() -> None:
    top = book()
    top.price(DELAYED_BID, 10, 1)
    top.price(DELAYED_ASK, 11, 1)
    assert top.quote(SPY).feed == "delayed"


def test_no_number_outlives_a_change_between_live_and_delayed() -> None:
    top = book()
    top.data_type(1)
    top.price(BID, 100, 1)
    top.price(LAST, 100, 1)
    top.data_type(3)
    top.price(DELAYED_ASK, 90, 1)
    quote = top.quote(SPY)
    assert (quote.bid, quote.ask, quote.last, quote.feed) == (None, Decimal(90), None, "delayed")
    top.data_type(1)
    top.price(BID, 101, 1)
    quote = top.quote(SPY)
    assert (quote.bid, quote.ask, quote.feed) == (Decimal(101), None, "live")


def test_a_frozen_market_keeps_its_last_numbers_and_says_so() -> None:
    top = book()
    top.price(BID, 100, 1)
    top.price(ASK, 101, 1)
    top.text(45, str(int((CLOSE - timedelta(minutes=5)).timestamp())))
    top.data_type(2)
    quote = top.quote(SPY)
    assert (quote.bid, quote.feed, quote.time) == (Decimal(100), "frozen", CLOSE - timedelta(minutes=5))


def test_a_quote_is_as_old_as_its_last_tick() -> None:
    now = [CLOSE]
    top = TopOfBook(lambda: now[0])
    top.price(BID, 100, 1)
    top.price(ASK, 101, 1)
    now[0] = CLOSE + timedelta(minutes=10)
    assert top.quote(SPY).time == CLOSE
    assert top.quote(SPY, current_at=now[0]).time == now[0]  # a snapshot is true when it is told


def test_an_index_is_complete_with_its_last_price() -> None:
    top = book()
    assert not top.is_complete("IND")
    top.price(LAST, 5000, 0)
    assert top.is_complete("IND")
    assert not top.is_complete("STK")


@pytest.mark.parametrize(("value", "halted"), [(0.0, False), (-1.0, False), (1.0, True), (2.0, True)])
def test_a_halt(value: float, halted: bool) -> None:
    top = book()
    top.generic(49, value)
    assert top.quote(SPY).halted is halted


def test_prices_lie_on_the_contract_s_tick() -> None:
    top = book()
    top.price(BID, 100.00999999, 1)
    assert top.quote(SPY).bid == Decimal("100.01")
    assert top.quote(replace(SPY, min_tick=Decimal("0.05"))).bid == Decimal(100)


def test_garbage_instead_of_a_time_is_ignored() -> None:
    top = book()
    top.text(45, "yesterday")
    assert top.traded_at is None
    top.text(45, "1559592000")
    assert top.traded_at == datetime(2019, 6, 3, 20, tzinfo=UTC)
