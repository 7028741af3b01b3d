"""The owner's kill switch: what it ends, what it keeps, and what it proves, over a real gateway's socket."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from autotrader.core.audit.models import Event
from broker import gates, halts, latch, types
from broker.errors import TradingDisabled
from broker.models import Halt
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.service.owner import Owner, Place
from tests.broker_service.house import CLOSE, MemoryDesk, bracket, filling
from tests.support import PATIENCE_S, eventually


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that are a fifth of those in life."""
    monkeypatch.setenv("AUTOTRADER_TIME_FACTOR", "0.2")


def kill_of(owner: Owner, cancel: str = "entries", wait_s: float = PATIENCE_S) -> types.KillReport:
    request = types.Kill("HALTED", cancel, "ann", "a drill", latch.new_mark(), wait_s)  # type: ignore[arg-type]
    report: types.KillReport = owner.broker.kill(request)
    return report


def frames(gateway: EmbeddedGateway) -> dict[str, int]:
    with ControlClient(gateway.host, gateway.control_port) as control:
        found: dict[str, int] = control.status()["frames"]
        return found


def hold(owner: Owner, gateway: EmbeddedGateway) -> None:
    """A position with its stop and target."""
    owner.broker.place(filling(owner.broker, "HELD"))
    owner.broker.drain()
    gateway.advance(CLOSE + timedelta(days=1))
    eventually(lambda: owner.broker.positions())


def refs(owner: Owner) -> set[str]:
    return {report.order_ref for report in owner.broker.open_orders()}


def test_entries_end_and_protection_of_a_position_stays(
    owner: Owner, gateway: EmbeddedGateway, desk: MemoryDesk
) -> None:
    hold(owner, gateway)
    owner.broker.place(bracket(owner.broker, "WAITS"))
    report = kill_of(owner)
    assert (report.asked, report.confirmed, report.working, report.done) == (1, 1, (), True)
    assert set(report.kept) == {"HELD-S", "HELD-T"}
    assert refs(owner) == {"HELD-S", "HELD-T"}
    assert gates.halt_state() is gates.HaltState.HALTED


def test_all_is_one_frame_that_also_ends_protection(owner: Owner, gateway: EmbeddedGateway, desk: MemoryDesk) -> None:
    hold(owner, gateway)
    report = kill_of(owner, "all")
    assert report.done
    assert report.kept == ()
    assert refs(owner) == set()
    assert frames(gateway)["reqGlobalCancel"] == 1


def test_it_needs_neither_a_database_nor_enabled_orders(
    owner: Owner, desk: MemoryDesk, settings: Settings, state: Path
) -> None:
    owner.broker.place(bracket(owner.broker))
    settings.ORDERS_ENABLED = False
    with connection.cursor() as cursor:
        for table in ("broker_submission", "broker_halt"):
            cursor.execute(f"ALTER TABLE {table} RENAME TO {table}_away")
    try:
        report = kill_of(owner)
    finally:
        with connection.cursor() as cursor:
            for table in ("broker_submission", "broker_halt"):
                cursor.execute(f"ALTER TABLE {table}_away RENAME TO {table}")
    assert (report.asked, report.done) == (1, True)
    eventually(lambda: Halt.objects.filter(state="HALTED", cancelled_at__isnull=False).exists())


def test_the_account_must_prove_to_be_ours(owner: Owner, desk: MemoryDesk, settings: Settings) -> None:
    owner.broker.place(bracket(owner.broker))
    settings.AUTOTRADER_BROKER, settings.AUTOTRADER_ALLOWED_ACCOUNTS = "tws", ("DU9",)
    report = kill_of(owner, wait_s=0.3)
    assert (report.asked, report.done) == (0, False)
    assert "AUTOTRADER_ALLOWED_ACCOUNTS" in report.problem


def test_the_wish_in_the_file_alone_is_enough(owner: Owner, desk: MemoryDesk, state: Path) -> None:
    owner.broker.place(bracket(owner.broker))
    latch.tighten(state, halts.wish_of(gates.HaltState.HALTED, "ann", "now", "entries"))
    eventually(lambda: not owner.broker.open_orders())
    found = eventually(lambda: (now := latch.read(state)) and now.cancelled_at and now)
    assert (found.asked, found.confirmed, found.working) == (1, 1, ())


def test_every_step_is_an_event_with_its_numbers(owner: Owner, desk: MemoryDesk) -> None:
    owner.broker.place(bracket(owner.broker))
    gates.halt_set("HALTED", "ann", "a drill", cancel="entries")
    eventually(lambda: Event.objects.filter(type="HALT_CANCELS_CONFIRMED").exists())
    told = list(Event.objects.filter(subject="halt:1").order_by("seq").values_list("type", "actor"))
    assert told == [("HALT_CHANGED", "ann"), ("HALT_CANCELS_ASKED", "ann"), ("HALT_CANCELS_CONFIRMED", "ann")]
    row = Halt.objects.get()
    assert (row.cancel, row.asked, row.confirmed, row.working) == ("entries", 1, 1, [])
    eventually(lambda: desk.all(types.CancelsReport))
    assert [report.done for report in desk.all(types.CancelsReport)] == [True]


def test_a_start_goes_on_with_cancels_that_were_left_unfinished(
    start: Callable[..., Owner], place: Place, state: Path
) -> None:
    from broker.service.owner import serve
    from tests.broker_service.house import FAST

    with serve(place, timing=FAST) as first:
        assert first.broker.settle(PATIENCE_S)
        first.broker.place(bracket(first.broker))
        first.broker.drain()
    gates.halt_set("HALTED", "ann", "while the owner was away", cancel="entries")
    second = start(place)
    eventually(lambda: not second.broker.open_orders())
    eventually(lambda: (found := latch.read(state)) and found.cancelled_at)


def test_orders_on_their_way_are_stopped_between_record_and_socket(
    owner: Owner, gateway: EmbeddedGateway, desk: MemoryDesk
) -> None:
    before = frames(gateway).get("placeOrder", 0)
    over = threading.Event()

    def place_on() -> None:
        for number in itertools.count():
            try:
                owner.broker.place(bracket(owner.broker, f"L{number}"))
            except TradingDisabled:
                return
            if over.is_set():
                return

    loader = threading.Thread(target=place_on)
    loader.start()
    try:
        eventually(lambda: frames(gateway).get("placeOrder", 0) > before + 6, every=0.001)
        report = kill_of(owner)
        at_proof = frames(gateway)["placeOrder"]
        loader.join(PATIENCE_S)
        assert not loader.is_alive(), "it was refused"
    finally:
        over.set()
    assert report.done
    assert frames(gateway)["placeOrder"] == at_proof
    assert refs(owner) == set()


def test_a_second_halt_joins_the_first_and_a_larger_wish_goes_further(
    owner: Owner, gateway: EmbeddedGateway, desk: MemoryDesk, state: Path
) -> None:
    hold(owner, gateway)
    owner.broker.place(bracket(owner.broker, "WAITS"))
    owner.broker.drain()
    gateway.fault("silent", kinds="cancelOrder")
    gates.halt_set("HALTED", "ann", "first", cancel="entries")
    first = latch.read(state)
    gates.halt_set("HALTED", "bob", "second", cancel="entries")
    second = latch.read(state)
    assert first is not None
    assert second is not None
    assert second.run == first.run
    gateway.heal()
    assert kill_of(owner, "all").done
    assert refs(owner) == set()
    assert Event.objects.filter(type="HALT_CHANGED").count() == 2


def test_a_release_ends_the_wish(owner: Owner, desk: MemoryDesk, gateway: EmbeddedGateway, state: Path) -> None:
    gates.halt_set("HALTED", "ann", "a drill", cancel="entries")
    gates.halt_release("bob", "it was a drill")
    owner.broker.place(bracket(owner.broker))
    assert refs(owner) == {"G1-E", "G1-S", "G1-T"}
    assert latch.read(state) is None
    halts.halt_sync(grace=0)
    assert gates.halt_state() is gates.HaltState.ACTIVE


def test_row_and_file_come_to_agree_and_the_stricter_wins(owner: Owner, desk: MemoryDesk, state: Path) -> None:
    latch.path_of(state).write_text("by hand")
    eventually(lambda: Halt.objects.filter(state="HALTED").exists())
    latch.path_of(state).unlink()
    eventually(lambda: latch.path_of(state).exists())
    gates.halt_release("bob", "all is well")
    assert latch.read(state) is None
    assert gates.halt_state() is gates.HaltState.ACTIVE


def test_what_an_owner_before_had_asked_stays_in_the_numbers(
    owner: Owner, gateway: EmbeddedGateway, desk: MemoryDesk, state: Path
) -> None:
    """It died with five asked: three had ended, one ended meanwhile, one works on and is asked once more."""
    owner.broker.place(bracket(owner.broker, "WAITS"))
    wish = halts.wish_of(gates.HaltState.HALTED, "ann", "a drill", "entries")
    latch.tighten(state, dataclasses.replace(wish, owner="one before", asked=5, working=("GONE-E", "WAITS-E")))
    eventually(lambda: (found := latch.read(state)) is not None and not found.is_cancelling)
    found = latch.read(state)
    assert found is not None
    assert (found.asked, found.confirmed, found.working) == (5, 5, ())


def test_an_owner_that_cannot_look_forgets_nothing_of_what_is_in_doubt(
    owner: Owner, desk: MemoryDesk, state: Path, settings: Settings
) -> None:
    settings.AUTOTRADER_BROKER, settings.AUTOTRADER_ALLOWED_ACCOUNTS = "tws", ("DU9",)
    wish = halts.wish_of(gates.HaltState.HALTED, "ann", "a drill", "entries")
    latch.tighten(state, dataclasses.replace(wish, asked=2, working=("GONE-E", "WAITS-E")))
    report = owner.broker.kill(types.Kill("HALTED", "entries", "ann", "a drill", wish.run, 1))
    assert (report.asked, report.confirmed, report.working) == (2, 0, ("GONE-E", "WAITS-E"))
    assert not report.done
