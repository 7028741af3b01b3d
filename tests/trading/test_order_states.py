"""The order's life as a function of its evidence: a table, and properties over all evidence there can be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader.core.audit.event_types import EventType
from tests.trading.builders import CLOSE, NOW, D
from trading.models import Order, OrderChange
from trading.models.order import AT_BROKER, LIVE, TERMINAL, OrderState
from trading.services.order_states import EVENT_OF, GRAPH, Evidence, derive, evidence_of, may_move

S = OrderState
NOTHING = Evidence(
    state=S.SENDING,
    quantity=D(10),
    filled=D(0),
    broker_quantity=None,
    broker_status="",
    rejected=False,
    submission="",
    missing="",
    expired=False,
)
TABLE: list[tuple[dict[str, Any], OrderState]] = [
    ({}, S.SENDING),
    ({"submission": "SENT"}, S.SUBMITTED),
    ({"submission": "VOID"}, S.ABSENT),
    ({"submission": "SENT", "broker_status": "PreSubmitted"}, S.ACCEPTED),
    ({"broker_status": "Submitted"}, S.ACCEPTED),
    ({"broker_status": "PendingCancel"}, S.ACCEPTED),
    ({"submission": "SENT", "broker_status": "Inactive"}, S.SUBMITTED),
    ({"broker_status": "Inactive", "rejected": True}, S.REJECTED),
    ({"submission": "SENT", "rejected": True}, S.REJECTED),
    ({"filled": D(4)}, S.PARTIALLY_FILLED),
    ({"filled": D(4), "broker_status": "Submitted"}, S.PARTIALLY_FILLED),
    ({"filled": D(10)}, S.FILLED),
    ({"filled": D(11), "broker_status": "Cancelled", "rejected": True, "missing": "proven"}, S.FILLED),
    ({"broker_status": "Filled"}, S.ACCEPTED),
    ({"broker_status": "Filled", "filled": D(4)}, S.PARTIALLY_FILLED),
    ({"broker_status": "Filled", "filled": D(6), "broker_quantity": D(6)}, S.FILLED),
    ({"broker_status": "Filled", "filled": D(6), "state": S.FILLED}, S.CANCELLED),
    ({"broker_status": "Filled", "filled": D(0), "state": S.FILLED}, S.CANCELLED),
    ({"broker_status": "Cancelled"}, S.CANCELLED),
    ({"broker_status": "ApiCancelled", "filled": D(4)}, S.CANCELLED),
    ({"broker_status": "Cancelled", "expired": True}, S.EXPIRED),
    ({"broker_status": "Submitted", "expired": True}, S.ACCEPTED),
    ({"missing": "unproven", "submission": "SENT"}, S.UNKNOWN),
    ({"missing": "proven", "submission": "SENT"}, S.ABSENT),
    ({"missing": "proven", "filled": D(4)}, S.UNKNOWN),
    ({"missing": "unproven", "broker_status": "Submitted"}, S.UNKNOWN),
    ({"broker_status": "a word of tomorrow", "submission": "SENT"}, S.SUBMITTED),
]
WORDS = ["", "PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel", "Inactive", "Cancelled", "Filled", "?"]
EVIDENCE = st.builds(
    Evidence,
    state=st.sampled_from(list(S)),
    quantity=st.sampled_from([D(10)]),
    filled=st.sampled_from([D(0), D(4), D(6), D(10), D(12)]),
    broker_quantity=st.sampled_from([None, D(4), D(6), D(10)]),
    broker_status=st.sampled_from(WORDS),
    rejected=st.booleans(),
    submission=st.sampled_from(["", "SENT", "VOID"]),
    missing=st.sampled_from(["", "unproven", "proven"]),
    expired=st.booleans(),
)


@pytest.mark.parametrize(("changes", "state"), TABLE)
def test_what_the_evidence_proves(changes: dict[str, Any], state: OrderState) -> None:
    assert derive(replace(NOTHING, **changes)) == state


@given(EVIDENCE)
def test_a_whole_fill_weighs_more_than_anything_said(evidence: Evidence) -> None:
    assert derive(replace(evidence, filled=D(10))) == S.FILLED


@given(EVIDENCE)
def test_shares_that_were_bought_are_never_absent_or_waiting(evidence: Evidence) -> None:
    if evidence.filled:
        assert derive(evidence) in (S.PARTIALLY_FILLED, S.FILLED, S.CANCELLED, S.EXPIRED, S.REJECTED, S.UNKNOWN)


def moved(evidence: Evidence) -> Evidence:
    """The evidence after the row went where the graph lets it go."""
    state = derive(evidence)
    return replace(evidence, state=state) if may_move(evidence.state, state) else evidence


@given(EVIDENCE)
def test_the_same_evidence_twice_changes_nothing(evidence: Evidence) -> None:
    once = moved(evidence)
    assert moved(once) == once


@given(EVIDENCE)
def test_what_was_never_sent_stays_where_it_is(evidence: Evidence) -> None:
    for state in (S.REFUSED, S.SIMULATED):
        assert moved(replace(evidence, state=state)).state == state


def test_the_graph_knows_every_state_and_leads_nowhere_else() -> None:
    assert set(GRAPH) == set(S)
    assert set(LIVE) | set(TERMINAL) == set(S)
    assert not set(LIVE) & set(TERMINAL)
    assert all(state not in GRAPH[state] for state in S if state not in AT_BROKER)
    assert set(EVENT_OF) >= {state for reached in GRAPH.values() for state in reached} - {S.PENDING_APPROVAL}


def test_every_life_of_a_change_has_its_event() -> None:
    states = [state for state, _ in OrderChange._meta.get_field("state").choices]
    assert all(f"ORDER_CHANGE_{state}" in EventType.__members__ for state in states)


def test_only_a_sent_order_can_be_at_the_broker() -> None:
    before = {S.DRAFT, S.PENDING_APPROVAL}
    assert not any(GRAPH[state] & set(AT_BROKER) for state in before)
    assert GRAPH[S.APPROVED] == {S.SENDING, S.SIMULATED, S.REFUSED}
    assert GRAPH[S.SIMULATED] == GRAPH[S.REFUSED] == frozenset()


@pytest.mark.parametrize(
    ("tif", "asked", "after", "expired"),
    [("DAY", False, 0, True), ("DAY", False, -1, False), ("DAY", True, 0, False), ("GTC", False, 0, False)],
)
def test_a_day_order_expires_at_its_close_unless_we_asked(tif: str, asked: bool, after: int, expired: bool) -> None:
    order = Order(state="ACCEPTED", tif=tif, quantity=D(10), expires_at=CLOSE)
    order.cancel_requested_at = NOW if asked else None
    assert evidence_of(order, Decimal(0), CLOSE + timedelta(seconds=after)).expired is expired
