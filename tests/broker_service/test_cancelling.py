"""A cancel of many tells entries from protection by our record, else by what the account holds."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from broker import types
from broker.errors import BrokerUnavailable, OrderInvalid
from broker.ib.errors import NotSent
from broker.models import Submission
from broker.service import cancelling

REPORT = types.OrderReport(
    account="DU1",
    order_ref="",
    perm_id=1,
    client_id=1,
    con_id=7,
    symbol="SPY",
    side="SELL",
    quantity=Decimal(10),
    order_type="LMT",
    limit_price=Decimal(1),
    stop_price=None,
    tif="GTC",
    status="Submitted",
    filled=Decimal(0),
    remaining=Decimal(10),
    average_price=None,
    why_held="",
    parent_perm_id=0,
    oca_group="",
    time=datetime(2024, 1, 2, tzinfo=UTC),
    origin="ours",
)


def recorded(order_ref: str, role: str, *, reduces: bool) -> Submission:
    return Submission(order_ref=order_ref, role=role, terms=json.dumps({"reduces": reduces}))


def test_our_record_tells_what_protects() -> None:
    rows = {
        "A-S": recorded("A-S", "stop", reduces=False),
        "A-E": recorded("A-E", "entry", reduces=False),
        "A-X": recorded("A-X", "exit", reduces=True),
    }
    working = [replace(REPORT, order_ref=order_ref) for order_ref in rows]
    ending, left = cancelling.choose(working, rows, {}, "entries")
    assert [report.order_ref for report in ending] == ["A-E"]
    assert [report.order_ref for report in left] == ["A-S", "A-X"]
    ending, left = cancelling.choose(working, rows, {}, "all")
    assert [report.order_ref for report in ending] == ["A-E", "A-S", "A-X"]
    assert left == []


def test_without_a_record_the_holding_and_the_parent_tell() -> None:
    child = replace(REPORT, order_ref="child", parent_perm_id=5, con_id=8)
    covered = replace(REPORT, order_ref="covered")
    bare = replace(REPORT, order_ref="bare", con_id=9)
    too_many = replace(REPORT, order_ref="too many", remaining=Decimal(11))
    adding = replace(REPORT, order_ref="adding", side="BUY")
    ending, left = cancelling.choose([child, covered, bare, too_many, adding], {}, {7: Decimal(10)}, "entries")
    assert [report.order_ref for report in left] == ["child", "covered"]
    assert [report.order_ref for report in ending] == ["bare", "too many", "adding"]


def test_what_others_sent_is_not_touched() -> None:
    others = [replace(REPORT, origin="other"), replace(REPORT, origin="manual")]
    assert cancelling.choose(others, {}, {}, "all") == ([], [])


def asked(*refs: str, **failing: Exception) -> tuple[str, ...]:
    """What is asked to end where the cancels of some fail."""

    def cancel(report: types.OrderReport) -> None:
        if report.order_ref in failing:
            raise failing[report.order_ref]

    return cancelling.ask_each([replace(REPORT, order_ref=ref) for ref in refs], cancel)


def test_an_order_that_ended_meanwhile_is_no_error() -> None:
    assert asked("A", "B", "C", B=OrderInvalid("gone")) == ("A", "C")


def test_a_failure_on_the_way_names_what_was_asked_before() -> None:
    with pytest.raises(BrokerUnavailable) as failed:
        asked("A", "B", "C", B=NotSent("lost"))
    assert failed.value.details["asked"] == ["A"]


def test_an_order_without_a_reference_is_named_by_its_permanent_id() -> None:
    assert asked("") == ("permId 1",)
