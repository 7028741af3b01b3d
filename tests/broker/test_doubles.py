"""What is done about orders that work under one reference: one cancel at a time, and never the last protection."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from broker import types
from broker.models import Submission
from broker.service.doubles import (
    MOST_TRIES,
    PATIENCE,
    Tried,
    by_reference,
    closes,
    decide,
    least_wanted,
    seen_again,
    tried_again,
)
from tests.broker_service.house import ACCOUNT, NOW

LATER = NOW + PATIENCE
SOON = NOW + PATIENCE / 2


def working(perm_id: int, **changes: Any) -> types.OrderReport:
    """A protective stop of ours that works."""
    report = types.OrderReport(
        account=ACCOUNT,
        order_ref="G1-S",
        perm_id=perm_id,
        client_id=1,
        con_id=7,
        symbol="SPY",
        side="SELL",
        quantity=Decimal(10),
        order_type="STP",
        limit_price=None,
        stop_price=Decimal(90),
        tif="GTC",
        status="PreSubmitted",
        filled=Decimal(0),
        remaining=Decimal(10),
        average_price=None,
        why_held="",
        parent_perm_id=0,
        oca_group="",
        time=NOW,
        origin="ours",
    )
    return replace(report, **changes)


ONE, TWO = working(1), working(2)
ENDING = working(2, status="PendingCancel")
ASKED = Tried(frozenset({1, 2}), 1, NOW, frozenset({1, 2}))
LAST_TRY = replace(ASKED, tries=MOST_TRIES)


@pytest.mark.parametrize(
    ("orders", "tried", "keep", "now", "verdict"),
    [
        pytest.param([], Tried(), 0, NOW, "settled", id="nothing works"),
        pytest.param([ONE], ASKED, 1, NOW, "settled", id="the last protection stays"),
        pytest.param([ONE], ASKED, 0, NOW, "cancel", id="an entry goes wholly"),
        pytest.param([ONE, TWO], Tried(), 1, NOW, "cancel", id="two that protect"),
        pytest.param([ONE, TWO], Tried(), 0, NOW, "cancel", id="two entries"),
        pytest.param([ONE, TWO], ASKED, 1, SOON, "wait", id="a cancel is on its way"),
        pytest.param([ONE, TWO], ASKED, 0, SOON, "wait", id="a cancel of an entry is on its way"),
        pytest.param([ONE, TWO], ASKED, 1, LATER, "cancel", id="a cancel was lost"),
        pytest.param([ONE, TWO, working(3)], ASKED, 1, SOON, "wait", id="one more came while a cancel is on its way"),
        pytest.param([ONE, working(3)], ASKED, 1, SOON, "cancel", id="a cancel has had its effect"),
        pytest.param([ONE, ENDING], Tried(), 1, NOW, "wait", id="one is ending by another's wish"),
        pytest.param([ONE, ENDING], ASKED, 1, LATER, "give up", id="one never ends"),
        pytest.param([ONE, ENDING], ASKED, 0, LATER, "cancel", id="an entry that does not end is asked again"),
        pytest.param([ONE, TWO], LAST_TRY, 1, SOON, "wait", id="the last cancel is on its way"),
        pytest.param([ONE, TWO], LAST_TRY, 1, LATER, "give up", id="five cancels did nothing"),
        pytest.param([ONE], LAST_TRY, 1, LATER, "settled", id="the fifth cancel did it"),
    ],
)
def test_the_verdict(orders: list[types.OrderReport], tried: Tried, keep: int, now: Any, verdict: str) -> None:
    assert decide(orders, tried, keep=keep, now=now) == verdict


@pytest.mark.parametrize("keep", [0, 1])
def test_without_any_effect_five_cancels_leave_and_no_more(keep: int) -> None:
    tried, now, verdicts = Tried(), NOW, []
    while not tried.given_up:
        verdict = decide([ONE, TWO], tried, keep=keep, now=now)
        verdicts.append(verdict)
        tried = tried if verdict == "wait" else tried_again(tried, [ONE, TWO], verdict, now)
        now += PATIENCE / 2
    assert verdicts == ["cancel", "wait"] * MOST_TRIES + ["give up"]


def test_an_order_never_seen_before_begins_the_count_anew() -> None:
    given_up = replace(LAST_TRY, given_up=True)
    assert seen_again(given_up, [ONE, TWO]) == given_up
    again = seen_again(given_up, [ONE, working(3)])
    assert (again.tries, again.given_up, again.perm_ids) == (0, False, frozenset({1, 2, 3}))


def test_the_order_without_the_newest_price_goes_first_and_the_oldest_of_them() -> None:
    newest = working(1, stop_price=Decimal(95))
    assert least_wanted([newest, TWO, working(3)], (None, Decimal(95))) == TWO
    assert least_wanted([TWO, ONE], None) == ONE
    assert least_wanted([newest, working(3, stop_price=Decimal(95))], (None, Decimal(95))) == newest


def test_only_working_orders_of_our_own_count_each_once() -> None:
    others = [working(3, origin="other"), working(4, origin="manual"), working(5, order_ref=""), working(0)]
    ended = [working(6, status="Cancelled"), working(7, status="Filled"), working(8, status="Inactive")]
    found = by_reference([ONE, ONE, TWO, *others, *ended])
    assert {ref: sorted(orders) for ref, orders in found.items()} == {"G1-S": [1, 2]}


@pytest.mark.parametrize(
    ("role", "reduces", "expected"),
    [("entry", False, False), ("stop", False, True), ("target", False, True), ("exit", False, True)],
)
def test_our_record_tells_what_closes(role: str, *, reduces: bool, expected: bool) -> None:
    row = Submission(order_ref="G1-S", role=role, terms=json.dumps({"reduces": reduces}))
    assert closes(ONE, row, {}) is expected


def test_without_a_record_the_holding_tells_what_closes() -> None:
    assert closes(ONE, None, {7: Decimal(10)})
    assert not closes(ONE, None, {})
