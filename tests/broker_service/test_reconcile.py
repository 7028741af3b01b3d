"""What our record leaves open is adopted, UNKNOWN, or proven VOID or absent; never sent again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from autotrader.core.audit.models import Event
from broker import types
from broker.ib.client import Book, ConnectionState
from broker.models import BrokerMessage, Submission
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.service import submissions
from broker.service.owner import Owner, Place, serve
from broker.service.reconcile import Look, Record, Timing, judge
from tests.broker_service.house import ACCOUNT, CLOSE, FAST, NOW, MemoryDesk, bracket, filling, placed_frames
from tests.support import PATIENCE_S, eventually, free_port

SECOND = timedelta(seconds=1)
AGO = timedelta(minutes=1)
CON_ID = 7
EASTERN = NOW + timedelta(hours=5)  # midnight in New York; NOW is that of UTC


def look(started: datetime, connected: datetime = NOW, in_flight: frozenset[str] = frozenset()) -> Look:
    """An empty book of a connection."""
    state = ConnectionState(
        connected=True,
        synced=True,
        accounts=(ACCOUNT,),
        account=ACCOUNT,
        clock="system",
        since=connected,
        reason="",
    )
    return Look(Book((), (), ()), started, state, started, in_flight, ())


def submission(created_at: datetime, state: str = "SENT") -> Submission:
    return Submission(order_ref="A-E", revision=0, account=ACCOUNT, state=state, created_at=created_at)


INTENT = types.UnresolvedIntent(ACCOUNT, "A-E", "SENDING", NOW)


@pytest.mark.parametrize(
    ("row", "book", "misses", "verdict"),
    [
        (None, look(NOW + 9 * SECOND), 0, "leave"),
        (None, look(NOW + 10 * SECOND), 0, "void"),
        (None, look(NOW + 99 * SECOND, in_flight=frozenset({"A-E"})), 0, "leave"),
        (submission(NOW, "VOID"), look(NOW), 0, "void_again"),
        (submission(NOW), look(NOW + 1 * SECOND), 0, "leave"),
        (submission(NOW), look(NOW + 3 * SECOND), 0, "missing"),
        # On the connection it was sent through its absence proves nothing.
        (submission(NOW), look(NOW + 99 * SECOND, connected=NOW - SECOND), 5, "missing"),
        # On a later one it takes two books, the last of them old enough.
        (submission(NOW), look(NOW + 9 * SECOND, connected=NOW + SECOND), 1, "missing"),
        (submission(NOW), look(NOW + 10 * SECOND, connected=NOW + SECOND), 0, "missing"),
        (submission(NOW), look(NOW + 10 * SECOND, connected=NOW + SECOND), 1, "proven"),
        (submission(NOW), look(NOW + 99 * SECOND, NOW + SECOND, frozenset({"A-E"})), 5, "leave"),
        # A book tells of its own day only.
        (submission(NOW), look(NOW + 3601 * SECOND, connected=NOW + SECOND), 5, "missing"),
        (submission(NOW - SECOND), look(NOW + 99 * SECOND, connected=NOW), 5, "missing"),
        (submission(EASTERN - SECOND), look(EASTERN + 99 * SECOND, connected=EASTERN), 5, "missing"),
        (submission(EASTERN), look(EASTERN + 99 * SECOND, connected=EASTERN + SECOND), 5, "proven"),
    ],
)
def test_what_a_book_without_the_order_says(row: Submission | None, book: Look, misses: int, verdict: str) -> None:
    assert judge(INTENT, Record(row), book, misses, Timing()) == verdict


@pytest.mark.parametrize(("market", "verdict"), [(EASTERN + 5 * SECOND, "missing"), (EASTERN - SECOND, "proven")])
def test_on_a_clock_that_was_set_its_own_day_counts(market: datetime, verdict: str) -> None:
    book = look(NOW + 99 * SECOND, connected=NOW)
    book = replace(book, state=replace(book.state, clock="set"), market_now=market)
    assert judge(INTENT, Record(submission(NOW - SECOND)), book, 5, Timing()) == verdict


def test_what_the_broker_once_told_of_is_never_proven_absent() -> None:
    book = look(NOW + 20 * SECOND, connected=NOW + SECOND)
    assert judge(INTENT, Record(submission(NOW), seen=True), book, 5, Timing()) == "missing"


def intent(account: str, order_ref: str, age: timedelta = AGO, state: str = "SENDING") -> types.UnresolvedIntent:
    return types.UnresolvedIntent(account, order_ref, state, datetime.now(UTC) - age)


def test_an_intent_without_a_submission_becomes_void_and_its_late_sender_loses(
    owner: Owner, gateway: EmbeddedGateway, desk: MemoryDesk
) -> None:
    order = bracket(owner.broker)
    desk.intents = [intent(order.account, leg.order_ref) for leg in order.legs]
    reports = eventually(lambda: desk.all(types.SubmissionReport, "G1-T"))
    assert reports[0].state == "VOID"
    outcome = owner.broker.place(order)
    assert [leg.state for leg in outcome.legs] == ["VOID"] * 3
    assert placed_frames(gateway) == 0


def test_a_young_intent_and_that_of_another_account_are_left_alone(owner: Owner, desk: MemoryDesk) -> None:
    account = owner.broker.status().account
    desk.intents = [intent(account, "YOUNG", age=-10 * AGO), intent("DUR9", "OTHER"), intent(account, "OLD")]
    eventually(lambda: desk.all(types.SubmissionReport, "OLD"))
    assert set(Submission.objects.values_list("order_ref", flat=True)) == {"OLD"}


def test_a_crash_between_record_and_frame_is_unknown_first_and_absent_by_proof(
    start: Callable[..., Owner], place: Place, gateway: EmbeddedGateway, desk: MemoryDesk
) -> None:
    with serve(place) as first:
        first.broker.settle(PATIENCE_S)
        order = bracket(first.broker)
        submissions.claim(submissions.place_rows(order, datetime.now(UTC) - AGO))
    desk.intents = [intent(order.account, leg.order_ref) for leg in order.legs]
    start(place)
    proven = eventually(lambda: [m for m in desk.all(types.OrderMissing, "G1-E") if m.proven])
    assert [missing.proven for missing in desk.all(types.OrderMissing, "G1-E")][:2] == [False, True]
    assert proven
    assert placed_frames(gateway) == 0


def test_on_its_own_connection_a_lost_order_stays_unknown(owner: Owner, desk: MemoryDesk) -> None:
    order = bracket(owner.broker)
    rows = submissions.place_rows(order, datetime.now(UTC))
    submissions.claim(rows)
    Submission.objects.update(created_at=datetime.now(UTC))
    desk.intents = [intent(order.account, "G1-E")]
    missing = eventually(lambda: desk.all(types.OrderMissing, "G1-E"))
    desk.intents = [intent(order.account, "G1-E", state="UNKNOWN")]
    look_on(owner)  # one that was under way knew the intent as it was
    seen = BrokerMessage.objects.count()
    look_on(owner)
    assert not any(report.proven for report in missing)
    assert BrokerMessage.objects.count() == seen


def test_what_was_sent_is_found_and_adopted_by_the_next_owner(
    start: Callable[..., Owner], place: Place, gateway: EmbeddedGateway, desk: MemoryDesk
) -> None:
    with serve(place) as first:
        first.broker.settle(PATIENCE_S)
        order = bracket(first.broker)
        first.broker.place(order)
    desk.events.clear()
    desk.intents = [intent(order.account, leg.order_ref) for leg in order.legs]
    second = start(place)
    second.broker.drain()
    assert {report.order_ref for report in desk.all(types.OrderReport)} == {leg.order_ref for leg in order.legs}
    assert not desk.all(types.OrderMissing)
    assert placed_frames(gateway) == 3


def test_a_book_that_says_nothing_new_is_not_stored_again(owner: Owner, desk: MemoryDesk) -> None:
    owner.broker.place(bracket(owner.broker))
    owner.broker.drain()
    reconciler = owner.broker._reconciler

    def messages_after_a_look() -> int:
        reconciler.wake()
        looked = reconciler.looks
        eventually(lambda: reconciler.looks >= looked + 2)
        owner.broker.drain()
        return BrokerMessage.objects.count()

    messages_after_a_look()
    assert messages_after_a_look() == messages_after_a_look()


def test_a_restart_that_tells_nothing_new_is_not_stored_again(place: Place, gateway: EmbeddedGateway) -> None:
    said = BrokerMessage.objects.filter(kind__in=["OrderReport", "ExecutionReport", "CommissionReport"])
    kinds = []
    for restart in range(3):
        with serve(place, timing=FAST) as owner:
            assert owner.broker.settle(PATIENCE_S)
            if not restart:
                owner.broker.place(filling(owner.broker))
                owner.broker.drain()
                gateway.advance(CLOSE + timedelta(hours=1))
            looks = owner.broker._reconciler.looks
            eventually(partial(_has_looked, owner, looks + 2))
            owner.broker.drain()
        kinds.append(sorted(said.values_list("kind", flat=True)))
    assert {"ExecutionReport", "OrderReport"} <= set(kinds[0])
    assert kinds[1] == kinds[2]  # the first restart tells of the stop and target without their finished parent
    for kind in ("ExecutionReport", "CommissionReport"):
        assert kinds[0].count(kind) == kinds[1].count(kind) > 0


def look_on(owner: Owner) -> None:
    """Wait until the owner has looked at the book anew, from the beginning to the end."""
    eventually(partial(_has_looked, owner, owner.broker._reconciler.looks + 2))
    owner.broker.drain()


def _has_looked(owner: Owner, times: int) -> bool:
    return owner.broker._reconciler.looks >= times


def test_each_connection_becomes_ready_once_and_its_events_are_on_record(owner: Owner, desk: MemoryDesk) -> None:
    owner.broker.drain()
    states = [report.state for report in desk.all(types.ConnectionReport)]
    assert states == ["CONNECTED", "READY"]
    kinds = list(Event.objects.order_by("seq").values_list("type", flat=True))
    assert kinds == ["BROKER_CONNECTED", "CLOCK_SUBSTITUTED"]
    assert desk.threads == {"writer"}


def test_a_lost_connection_shuts_the_door_and_the_next_look_opens_it(
    state: Path, start: Callable[..., Owner], desk: MemoryDesk
) -> None:
    path = state / "paper.sqlite3"
    port = free_port()
    with EmbeddedGateway(port=port, set_clock=CLOSE, store_path=path):
        owner = start(Place(port=port))
    eventually(lambda: not owner.broker.status().ready)
    assert not owner.broker.status().connected
    with EmbeddedGateway(port=port, set_clock=CLOSE, store_path=path):
        eventually(lambda: owner.broker.status().ready)
        owner.broker.drain()
        states = [report.state for report in desk.all(types.ConnectionReport)]
    assert states[:5] == ["CONNECTED", "READY", "LOST", "CONNECTED", "READY"]


def test_a_gateway_that_is_not_ours_is_refused(gateway: EmbeddedGateway, place: Place, desk: MemoryDesk) -> None:
    with serve(replace(place, accounts=lambda: ("DU000",)), timing=FAST) as owner:
        reason = eventually(lambda: "DU000" in owner.broker.status().reason and owner.broker.status().reason)
        assert gateway.account in reason
        assert not owner.broker.status().ready


def test_an_owner_tells_its_desk_what_the_broker_does_not_hold(
    start: Callable[..., Owner], place: Place, desk: MemoryDesk
) -> None:
    desk.booked = {CON_ID: Decimal(3)}
    start(place)
    (told,) = eventually(lambda: desk.all(types.PositionMismatch))
    assert (told.con_id, told.quantity, told.booked) == (CON_ID, 0, 3)
    desk.booked = {}
    eventually(lambda: len(desk.all(types.PositionMismatch)) == 2)
    assert BrokerMessage.objects.filter(kind="PositionMismatch", state="APPLIED").count() == 2
