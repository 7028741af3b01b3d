"""The cases of the controls of flow: how many, how often, how equal, and against whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.trading.builders import NOW, D
from tests.trading.order_rule_cases import EXIT, MARKET, NAN, STOP
from tests.trading.rule_cases import Cases
from trading.selectors.ledger import ASKING, ApprovalFacts, Twin

JUST = timedelta(microseconds=1)
ENTRY_CHANGE: dict[str, Any] = {"purpose": "change", "role": "entry"}


def twin(**ago: int) -> tuple[Twin, ...]:
    return (Twin("A1-E", NOW - timedelta(**ago)),)


def approved(**changes: Any) -> dict[str, Any]:
    """An order at the moment of sending, under an approval."""
    given: dict[str, Any] = {
        "state": "APPROVED",
        "digest": "abc",
        "terms": "abc",
        "expires_at": NOW + JUST,
        "votes": 1,
        "needed": 1,
    }
    return {"sending": True, "mode": "approve", "approval": ApprovalFacts(**(given | changes))}


def valued(**changes: Any) -> dict[str, Any]:
    """An order of 10,100 at the moment of sending, which nobody was asked about."""
    return {"sending": True, "limits": changes}


CASES = [
    Cases(
        rule="message_rate",
        allows=[{"messages_second": 0, "messages_minute": 0}, EXIT | {"messages_second": 4}, STOP],
        refuses=[
            ({"messages_second": 99, "messages_minute": 99}, "MESSAGE_RATE"),
            (EXIT | {"messages_minute": 30}, "MESSAGE_RATE"),
            (STOP | {"messages_minute": 30}, "MESSAGE_RATE"),
            (ENTRY_CHANGE | {"messages_second": 5}, "MESSAGE_BURST"),
        ],
        boundary=[
            ({"messages_minute": 29}, {"messages_minute": 30}, "MESSAGE_RATE"),
            ({"messages_second": 4}, {"messages_second": 5}, "MESSAGE_BURST"),
            (
                {"messages_minute": 0, "limits": {"messages_per_minute": 1}},
                {"messages_minute": 1, "limits": {"messages_per_minute": 1}},
                "MESSAGE_RATE",
            ),
        ],
        fails_closed=[({"messages_minute": None}, "RULE_FAILED"), ({"messages_second": None}, "RULE_FAILED")],
    ),
    Cases(
        rule="repeated_executions",
        allows=[{"entries_today": 0}],
        refuses=[
            ({"entries_today": 99}, "TOO_MANY_ORDERS_TODAY"),
            ({"limits": {"max_orders_per_day": 0}}, "TOO_MANY_ORDERS_TODAY"),
            ({"suspended": "too many orders today"}, "STRATEGY_SUSPENDED"),
            ({"suspended": "by a control", "entries_today": 10}, "STRATEGY_SUSPENDED"),
        ],
        boundary=[({"entries_today": 9}, {"entries_today": 10}, "TOO_MANY_ORDERS_TODAY")],
        fails_closed=[
            ({"entries_today": None}, "RULE_FAILED"),
            ({"limits": {"max_orders_per_day": None}}, "RULE_FAILED"),
        ],
    ),
    Cases(
        rule="duplicates",
        allows=[
            {},
            {"twins": twin(seconds=1), "intended": True},
            {"twins": twin(seconds=0), "limits": {"duplicate_window_seconds": 0}},
        ],
        refuses=[
            ({"twins": twin(seconds=0)}, "DUPLICATE_ORDER"),
            (EXIT | {"twins": twin(seconds=30)}, "DUPLICATE_ORDER"),
            # One from the future: a clock that went back must not open the window.
            ({"twins": twin(seconds=-30)}, "DUPLICATE_ORDER"),
        ],
        boundary=[
            (
                {"twins": twin(seconds=60)},
                {"twins": (Twin("A1-E", NOW - timedelta(seconds=60) + JUST),)},
                "DUPLICATE_ORDER",
            ),
            (
                {"twins": twin(seconds=5), "limits": {"duplicate_window_seconds": 5}},
                {"twins": twin(seconds=4), "limits": {"duplicate_window_seconds": 5}},
                "DUPLICATE_ORDER",
            ),
        ],
        fails_closed=[
            ({"twins": None}, "RULE_FAILED"),
            ({"twins": (Twin("A1-E", NOW.replace(tzinfo=None)),)}, "RULE_FAILED"),
        ],
    ),
    Cases(
        rule="self_match",
        allows=[{}, EXIT, STOP | {"crossing": ("A1-E",)}],
        refuses=[({"crossing": ("A1-E", "A2-S")}, "SELF_MATCH"), (EXIT | {"crossing": ("A1-E",)}, "SELF_MATCH")],
        boundary=[(ENTRY_CHANGE, ENTRY_CHANGE | {"crossing": ("X7",)}, "SELF_MATCH")],
        fails_closed=[({"crossing": None}, "RULE_FAILED")],
    ),
    Cases(
        rule="approval",
        allows=[
            {},
            {"mode": "approve"},
            {"mode": "approve", "limits": {"approval_above_value": D(1)}},
            {"mode": "auto", "sending": True},
            {"mode": "approve", "sending": True, "approval": ASKING},
            {"mode": "approve", "sending": True, "sends": False},
            {"mode": "approve", "sending": True, "shadow": True},
            approved(),
            approved(state="USED"),
            approved(votes=2, needed=2) | {"limits": {"second_approver_above_value": D(1)}},
            EXIT | approved(),
            STOP | {"mode": "approve", "sending": True, "limits": {"second_approver_above_value": D(1)}},
            ENTRY_CHANGE | {"mode": "approve", "sending": True},
            {"must_be_approved": True},
            {"must_be_approved": True, "sending": True, "approval": ASKING},
            {"must_be_approved": True, "sending": True, "sends": False},
        ],
        refuses=[
            ({"must_be_approved": True, "sending": True}, "APPROVAL_NEEDED"),
            (EXIT | {"must_be_approved": True, "sending": True}, "APPROVAL_NEEDED"),
            ({"mode": "approve", "sending": True}, "APPROVAL_NEEDED"),
            (EXIT | {"mode": "approve", "sending": True}, "APPROVAL_NEEDED"),
            (approved(state="PENDING"), "APPROVAL_NEEDED"),
            (approved(state="REJECTED"), "APPROVAL_NEEDED"),
            (approved(state="VOID"), "APPROVAL_NEEDED"),
            (approved(terms="abd"), "APPROVAL_CHANGED"),
            (approved(votes=1, needed=2), "APPROVAL_NEEDED"),
            (approved() | {"limits": {"second_approver_above_value": D(10_000)}}, "APPROVAL_NEEDED"),
            (approved() | {"desk_second_approver_above": D(10_000)}, "APPROVAL_NEEDED"),
            (ENTRY_CHANGE | valued(approval_above_value=D(1)), "APPROVAL_NEEDED"),
        ],
        boundary=[
            (approved(), approved(expires_at=NOW), "APPROVAL_EXPIRED"),
            (
                valued(approval_above_value=D("10100.01")),
                valued(approval_above_value=D(10_100)),
                "APPROVAL_NEEDED",
            ),
            (
                {"sending": True, "desk_approval_above": D("10100.01")},
                {"sending": True, "desk_approval_above": D(10_100)},
                "APPROVAL_NEEDED",
            ),
        ],
        fails_closed=[
            (approved(digest="", terms=""), "APPROVAL_CHANGED"),
            (approved(expires_at=None), "RULE_FAILED"),
            (MARKET | valued(approval_above_value=D(1_000_000)) | {"price": None}, "APPROVAL_NEEDED"),
            (valued(approval_above_value=D(1_000_000)) | {"quantity": NAN}, "APPROVAL_NEEDED"),
            ({"desk_approval_above": NAN}, "RULE_FAILED"),
            ({"desk_second_approver_above": D(-1)}, "RULE_FAILED"),
        ],
    ),
]
