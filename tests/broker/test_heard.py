"""What the broker repeats is not stored again; what may mean something else is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from broker import types
from broker.service.heard import Heard
from tests.broker_service.house import ACCOUNT, NOW

FILL = types.ExecutionReport(
    ACCOUNT, "A-E", 9, "x.01", 7, "SPY", "BUY", Decimal(1), Decimal(2), NOW, "ARCA", Decimal(1), "USD"
)
REPORT = types.OrderReport(
    account=ACCOUNT,
    order_ref="A-E",
    perm_id=9,
    client_id=1,
    con_id=7,
    symbol="SPY",
    side="BUY",
    quantity=Decimal(1),
    order_type="LMT",
    limit_price=Decimal(2),
    stop_price=None,
    tif="DAY",
    status="Submitted",
    filled=Decimal(0),
    remaining=Decimal(1),
    average_price=None,
    why_held="",
    parent_perm_id=0,
    oca_group="",
    time=NOW,
)
MESSAGE = types.OrderMessage(ACCOUNT, "A-E", 9, 399, "held", NOW)
MISSING = types.OrderMissing(ACCOUNT, "A-E", proven=False, detail="", time=NOW)


@pytest.fixture
def heard() -> Heard:
    made = Heard(bound=3)
    for event in (REPORT, FILL):
        made.note(event)
    return made


def test_the_same_at_another_time_is_known(heard: Heard) -> None:
    assert heard.is_known(replace(REPORT, time=NOW + timedelta(hours=1)))
    assert heard.is_known(replace(FILL, time=NOW + timedelta(hours=1)))
    assert heard.is_known(replace(FILL, commission=None, commission_currency=""))


@pytest.mark.parametrize(
    "event",
    [
        replace(REPORT, status="Filled"),
        replace(REPORT, completed=True),
        replace(REPORT, perm_id=10),
        replace(REPORT, order_ref="B-E"),
        replace(FILL, exec_id="x.02"),
        replace(FILL, commission=Decimal(2)),
        MESSAGE,
        MISSING,
    ],
)
def test_anything_else_is_news(heard: Heard, event: types.BrokerEvent) -> None:
    assert not heard.is_known(event)


def test_a_state_that_comes_back_is_news(heard: Heard) -> None:
    heard.note(replace(REPORT, status="PreSubmitted"))
    assert not heard.is_known(REPORT)


@pytest.mark.parametrize("event", [MESSAGE, MISSING])
def test_after_another_word_on_an_order_its_report_is_news(heard: Heard, event: types.BrokerEvent) -> None:
    heard.note(event)
    assert not heard.is_known(REPORT)
    assert heard.is_known(FILL)


def test_what_waits_to_be_booked_is_not_known(heard: Heard) -> None:
    heard.forget(REPORT)
    heard.forget(FILL)
    assert not heard.is_known(REPORT)
    assert not heard.is_known(FILL)


def test_what_is_on_record_is_known_after_a_start() -> None:
    heard = Heard()
    heard.recall([(replace(REPORT, status="PreSubmitted"), True), (FILL, True), (REPORT, True)])
    assert heard.is_known(REPORT)
    assert heard.is_known(FILL)
    assert not heard.is_known(replace(REPORT, status="PreSubmitted"))


@pytest.mark.parametrize(
    "booked",
    [
        pytest.param([(REPORT, False), (REPORT, True)], id="the same was booked late"),
        pytest.param([(REPORT, True), (replace(REPORT, status="Filled"), True)], id="another word came after"),
        pytest.param([(REPORT, True), (MESSAGE, True)], id="a message came after"),
        pytest.param([(REPORT, True), (MESSAGE, False), (REPORT, True)], id="a message was booked late"),
        pytest.param([(REPORT, True), (None, True)], id="what came after cannot be read"),
    ],
)
def test_what_is_not_certainly_the_last_word_on_record_is_news(booked: list[tuple[types.BrokerEvent, bool]]) -> None:
    heard = Heard()
    heard.recall(booked)
    assert not heard.is_known(REPORT)


def test_the_oldest_is_forgotten_at_the_bound(heard: Heard) -> None:
    for number in range(3):
        heard.note(replace(FILL, exec_id=f"y.{number}"))
    assert not heard.is_known(REPORT)
    assert heard.is_known(replace(FILL, exec_id="y.0"))
