"""Many writers at once on PostgreSQL: no deadlock, no gap, a whole chain."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest
from django.db import transaction

from autotrader.core.audit import record, recording
from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import AuditHead, Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.users.models import User
from tests.support import PATIENCE_S, in_threads

pytestmark = pytest.mark.postgres
RECORDINGS = 1000
THREADS = 16


def change(name: str, number: int) -> None:
    user = User.objects.select_for_update().get(username=name)
    user.first_name = str(number)
    user.save(update_fields=["first_name"])
    record(EventType.STRATEGY_CHANGED, f"user:{name}", document={"number": number})


def write(names: tuple[str, ...], number: int) -> None:
    """One service: it locks rows and records in between."""
    with recording():
        for name in names:
            with recording():
                change(name, number)


def test_a_thousand_recordings_at_once(transactional_db: None) -> None:
    """Some record before they lock a row that others lock before they record: the head comes last for all of them."""
    for name in ("ann", "bob"):
        User.objects.create_user(name)
    orders = (("ann", "bob"), ("bob",), ("ann",), ("bob",))
    jobs: list[Callable[[], None]] = [
        partial(write, orders[number % len(orders)], number) for number in range(RECORDINGS)
    ]
    in_threads(jobs, threads=THREADS)
    events = RECORDINGS + RECORDINGS // len(orders)
    assert list(Event.objects.order_by("seq").values_list("seq", flat=True)) == list(range(1, events + 1))
    assert AuditHead.objects.get().seq == events
    assert verify_chain().ok


def test_the_head_is_the_last_lock_taken(transactional_db: None) -> None:
    """A writer that still works on its rows does not hold the head: another one finishes meanwhile."""
    for name in ("ann", "bob"):
        User.objects.create_user(name)
    recorded, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        with recording():
            record(EventType.STRATEGY_CHANGED, "slow")
            recorded.set()
            assert go_on.wait(PATIENCE_S)
            User.objects.select_for_update().get(username="ann")

    def quick() -> None:
        try:
            assert recorded.wait(PATIENCE_S)
            with recording():
                User.objects.select_for_update().get(username="ann")
                record(EventType.STRATEGY_CHANGED, "quick")
        finally:
            go_on.set()

    in_threads([slow, quick], threads=2)
    assert list(Event.objects.order_by("seq").values_list("subject", flat=True)) == ["quick", "slow"]


def test_a_number_is_never_seen_before_the_one_in_front_of_it(transactional_db: None) -> None:
    """A reader that asks for `seq > last` while others write misses nothing."""
    done = threading.Event()

    def writer(number: int) -> None:
        for _ in range(25):
            with recording():
                record(EventType.STRATEGY_CHANGED, f"writer:{number}")

    def reader() -> list[int]:
        seen: list[int] = []
        while not done.is_set() or Event.objects.count() > len(seen):
            with transaction.atomic():
                seen += (
                    Event.objects.filter(seq__gt=seen[-1] if seen else 0).order_by("seq").values_list("seq", flat=True)
                )
        return seen

    def all_writers() -> list[int]:
        try:
            in_threads([partial(writer, number) for number in range(8)], threads=8)
        finally:
            done.set()
        return []

    seen, _ = in_threads([reader, all_writers], threads=2)
    assert seen == list(range(1, 201))
