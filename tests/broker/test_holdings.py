"""What the broker holds against our fills: told when it lasts, once, and again when it is gone."""

from __future__ import annotations

from decimal import Decimal

import pytest

from broker import types
from broker.service.holdings import Holdings
from tests.broker_service.house import ACCOUNT, NOW

SPY = 7


def held(quantity: int, con_id: int = SPY) -> types.Position:
    return types.Position(
        account=ACCOUNT,
        con_id=con_id,
        symbol="SPY",
        quantity=Decimal(quantity),
        average_cost=Decimal(1),
        market_price=None,
        market_value=None,
        unrealized_pnl=None,
        realized_pnl=None,
    )


@pytest.fixture
def holdings() -> Holdings:
    made = Holdings()
    made.remember([])
    return made


def looks(holdings: Holdings, *answers: tuple[int, int]) -> list[list[tuple[Decimal, Decimal]]]:
    """What each of a row of looks tells, from pairs of the broker's quantity and ours."""
    told = []
    for quantity, booked in answers:
        positions = [held(quantity)] if quantity else []
        events = holdings.compare(ACCOUNT, positions, {SPY: Decimal(booked)} if booked else {}, NOW)
        told.append([(event.quantity, event.booked) for event in events])
    return told


def test_a_difference_is_told_when_two_looks_show_it_and_only_once(holdings: Holdings) -> None:
    assert looks(holdings, (10, 0), (10, 0), (10, 0)) == [[], [(10, 0)], []]


def test_a_fill_between_two_answers_is_no_difference(holdings: Holdings) -> None:
    assert looks(holdings, (0, 10), (10, 10), (15, 10), (20, 15), (20, 20)) == [[], [], [], [], []]


def test_a_change_of_a_difference_is_told_and_its_end_too(holdings: Holdings) -> None:
    assert looks(holdings, (10, 0), (10, 0), (12, 0), (12, 0), (12, 12), (12, 12)) == [
        [],
        [(10, 0)],
        [],
        [(12, 0)],
        [(12, 12)],
        [],
    ]


def test_our_trades_beside_what_others_hold_are_no_news(holdings: Holdings) -> None:
    answers = (10, 0), (10, 0), (12, 2), (12, 2), (10, 0), (10, 0), (11, 0), (11, 0)
    assert looks(holdings, *answers) == [[], [(10, 0)], [], [], [], [], [], [(11, 0)]]


def test_what_our_fills_hold_and_the_broker_does_not_is_a_difference_too(holdings: Holdings) -> None:
    assert looks(holdings, (0, -5), (0, -5)) == [[], [(0, -5)]]


def test_only_what_is_not_told_yet_asks_for_haste(holdings: Holdings) -> None:
    looks(holdings, (10, 0))
    assert holdings.unsettled
    looks(holdings, (10, 0))
    assert not holdings.unsettled


def test_what_an_earlier_owner_told_is_not_told_again(holdings: Holdings) -> None:
    holdings.remember([types.PositionMismatch(ACCOUNT, SPY, "SPY", Decimal(10), Decimal(0), NOW)])
    assert looks(holdings, (10, 0), (10, 0)) == [[], []]
    assert looks(holdings, (10, 10)) == [[(10, 10)]]
