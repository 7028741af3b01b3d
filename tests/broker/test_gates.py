"""Each gate allows, refuses and fails closed; the stricter of row and file holds."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from autotrader.core.audit.models import Event
from broker import gates, latch, types
from broker.errors import BrokerUnavailable, TradingDisabled
from broker.gates import HaltState
from broker.models import Halt
from broker.service.protective import is_protective

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2024, 1, 2, tzinfo=UTC)
STATUS = types.BrokerStatus(
    ready=True,
    connected=True,
    reason="",
    account="DU1",
    accounts=("DU1",),
    clock="system",
    market_now=NOW,
    since=NOW,
    owner="test",
)


@pytest.fixture(autouse=True)
def state(settings: Settings, tmp_path: Path) -> Path:
    settings.AUTOTRADER_STATE_DIR = tmp_path
    return tmp_path


def live(settings: Settings, state: Path) -> None:
    """All that a live order needs."""
    override = state / "live"
    override.touch()
    settings.AUTOTRADER_BROKER, settings.TRADING_MODE, settings.ORDERS_ENABLED = "tws", "live", True
    settings.LIVE_TRADING_OVERRIDE_FILE, settings.AUTOTRADER_ALLOWED_ACCOUNTS = str(override), ("U7",)
    gates.halt_set(HaltState.ACTIVE, "ann", "go")


def code_of(**changes: Any) -> str:
    """The code of the gate that is shut, empty where all are open."""
    arguments: dict[str, Any] = {"reduces": False, "account": "DU1", "status": STATUS, **changes}
    try:
        gates.check_send(**arguments)
    except TradingDisabled as error:
        return error.reason
    return ""


def test_a_new_install_is_active_with_the_embedded_gateway_and_halted_with_a_real_one(
    settings: Settings,
) -> None:
    assert gates.halt_state() is HaltState.ACTIVE
    settings.AUTOTRADER_BROKER = "tws"
    assert gates.halt_state() is HaltState.HALTED
    gates.halt_set(HaltState.ACTIVE, "ann", "checked")
    assert gates.halt_state() is HaltState.ACTIVE


@pytest.mark.parametrize("before", [HaltState.ACTIVE, HaltState.REDUCING])
def test_what_was_released_on_the_embedded_gateway_is_not_released_on_a_real_one(
    settings: Settings, before: HaltState
) -> None:
    """A person practised there, then set AUTOTRADER_BROKER=tws with the same database."""
    gates.halt_set(HaltState.ACTIVE, "ann", "the drill is over")
    if before is HaltState.REDUCING:
        gates.halt_set(before, "loss guard", "2 % lost")
    settings.AUTOTRADER_BROKER = "tws"
    assert gates.halt_state() is HaltState.HALTED
    assert code_of() == "HALTED"
    halted = gates.halt_reading()
    gates.halt_release("ann", "checked the account", seen=halted.seen)
    assert gates.halt_state() is HaltState.ACTIVE
    gates.halt_set(HaltState.REDUCING, "loss guard", "2 % lost")
    assert gates.halt_state() is HaltState.REDUCING


def test_losing_the_row_or_the_state_folder_makes_no_real_broker_active(settings: Settings, state: Path) -> None:
    settings.AUTOTRADER_BROKER = "tws"
    gates.halt_set(HaltState.ACTIVE, "ann", "checked")
    Halt.objects.all().delete()
    assert gates.halt_state() is HaltState.HALTED, "as on a new install: a person releases it"
    gates.halt_set(HaltState.ACTIVE, "ann", "checked")
    settings.AUTOTRADER_STATE_DIR = state / "gone"
    assert gates.halt_state() is HaltState.HALTED


@pytest.mark.parametrize(
    ("halt", "reduces", "protective", "code"),
    [
        ("ACTIVE", False, False, ""),
        ("REDUCING", False, False, "REDUCING"),
        ("REDUCING", True, False, ""),
        ("HALTED", False, False, "HALTED"),
        ("HALTED", True, False, "HALTED"),
        ("HALTED", True, True, ""),
        ("HALTED", False, True, "HALTED"),
    ],
)
def test_what_each_state_lets_pass(halt: str, reduces: bool, protective: bool, code: str) -> None:
    gates.halt_set(halt, "ann", "because")
    assert code_of(reduces=reduces, protective=protective) == code


def leg(order_ref: str, role: Any, **fields: Any) -> types.OrderLeg:
    kind: Any = "STP" if role == "stop" else "LMT"
    return types.OrderLeg(order_ref, role, "SELL", Decimal(1), kind, "GTC", **fields)


@pytest.mark.parametrize(
    ("legs", "reduces", "passes"),
    [
        pytest.param([leg("A-S", "stop")], True, True, id="a stop alone"),
        pytest.param([leg("A-S", "stop")], False, False, id="a stop that adds"),
        pytest.param([leg("A-S", "stop"), leg("A-T", "target", oca_ref="A-S")], True, True, id="a pair"),
        pytest.param(
            [leg("A-S", "stop", oca_group="G"), leg("A-T", "target", oca_group="G")], True, True, id="a group"
        ),
        pytest.param([leg("A-S", "stop"), leg("A-T", "target")], True, False, id="two that do not end each other"),
        pytest.param([leg("A-T", "target")], True, False, id="a target alone"),
        pytest.param([leg("A-X", "exit")], True, False, id="an exit"),
        pytest.param([leg("A-E", "entry"), leg("A-S", "stop", parent_ref="A-E")], False, False, id="a bracket"),
    ],
)
def test_what_protects_while_halted(legs: list[types.OrderLeg], reduces: bool, passes: bool) -> None:
    assert is_protective(types.PlaceOrder("DU1", 7, tuple(legs), reduces, NOW, "")) is passes


def test_halt_and_release_are_events_and_the_file_comes_and_goes(state: Path) -> None:
    gates.halt_set(HaltState.HALTED, "ann", "strange fills")
    assert gates.halt_file(state).exists()
    gates.halt_release("ann", "only out", to=HaltState.REDUCING)
    assert latch.read(state) is not None
    assert gates.halt_state() is HaltState.REDUCING
    reading = gates.halt_release("bob", "found it")
    assert not gates.halt_file(state).exists()
    assert (reading.state, reading.version, reading.actor) == (HaltState.ACTIVE, 3, "bob")
    events = Event.objects.filter(type="HALT_CHANGED").order_by("seq")
    assert [(event.old_state, event.new_state, event.actor) for event in events] == [
        ("", "HALTED", "ann"),
        ("HALTED", "REDUCING", "ann"),
        ("REDUCING", "ACTIVE", "bob"),
    ]


def test_a_release_is_not_undone_by_who_compares_row_and_file_before_the_file_has_gone(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates.halt_set("HALTED", "ann", "strange fills")
    loosen = latch.replace_with

    def meanwhile(*arguments: Any) -> bool:
        monkeypatch.setattr(latch, "replace_with", loosen)
        gates.halt_sync(grace=-1)
        return loosen(*arguments)

    monkeypatch.setattr(latch, "replace_with", meanwhile)
    gates.halt_release("bob", "seen")
    gates.halt_sync(grace=-1)
    assert gates.halt_state() == "ACTIVE"
    assert latch.read(state) is None


def test_a_release_that_died_before_the_file_had_gone_is_finished(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gates.halt_set("HALTED", "ann", "strange fills")
    with monkeypatch.context() as patch:
        patch.setattr(latch, "replace_with", lambda *arguments: False)
        gates.halt_release("bob", "seen")
    assert gates.halt_state() == "HALTED"
    gates.halt_sync(grace=-1)
    assert gates.halt_state() == "ACTIVE"


def test_a_release_that_was_rolled_back_leaves_the_halt(state: Path) -> None:
    gates.halt_set("HALTED", "ann", "strange fills")
    with pytest.raises(LookupError), transaction.atomic():
        gates.halt_release("bob", "seen")
        raise LookupError
    gates.halt_sync(grace=-1)
    assert gates.halt_state() == "HALTED"


def test_a_halt_never_loosens_a_stricter_one(state: Path) -> None:
    gates.halt_set(HaltState.HALTED, "ann", "strange fills")
    reading = gates.halt_set(HaltState.REDUCING, "loss guard", "2 % lost")
    assert (reading.state, reading.actor, reading.reason) == (HaltState.HALTED, "ann", "strange fills")
    found = latch.read(state)
    assert found is not None
    assert found.state == "HALTED"
    last = Event.objects.filter(type="HALT_CHANGED").latest("seq")
    assert (last.actor, last.old_state, last.new_state) == ("loss guard", "HALTED", "HALTED")
    assert "2 % lost" in last.cause


def test_the_file_alone_halts_whatever_it_says(state: Path) -> None:
    gates.halt_set(HaltState.ACTIVE, "ann", "go")
    gates.halt_file(state).write_text("")
    assert gates.halt_state() is HaltState.HALTED
    with pytest.raises(TradingDisabled):
        gates.halt_file_gate(state, reduces=True)
    gates.halt_file_gate(state, reduces=True, protective=True)


def test_an_unreadable_latch_halts(state: Path) -> None:
    gates.halt_file(state).symlink_to(state / "nowhere")
    assert gates.halt_state() is HaltState.HALTED
    with pytest.raises(TradingDisabled):
        gates.halt_file_gate(state / "missing folder", reduces=False)
    (state / "a file").touch()
    with pytest.raises(TradingDisabled):
        gates.halt_file_gate(state / "a file", reduces=False)


def test_an_unreadable_row_halts() -> None:
    Halt.objects.create(pk=1, state="ACTIVE", actor="ann", at=NOW)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE broker_halt RENAME TO broker_halt_away")
    try:
        assert gates.halt_state() is HaltState.HALTED
        assert code_of() == "HALTED"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE broker_halt_away RENAME TO broker_halt")


def test_halted_holds_by_the_file_where_the_database_refuses(state: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE broker_halt RENAME TO broker_halt_away")
    try:
        with pytest.raises(Exception, match="broker_halt"):
            gates.halt_set(HaltState.HALTED, "ann", "now")
        assert gates.halt_file(state).exists()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE broker_halt_away RENAME TO broker_halt")


def test_orders_disabled(settings: Settings) -> None:
    settings.ORDERS_ENABLED = False
    assert code_of() == "ORDERS_DISABLED"


@pytest.mark.parametrize(
    ("account", "code"),
    [("DU1", ""), ("DF2", ""), ("DUR9", ""), ("U1", "ACCOUNT_NOT_PAPER"), ("", "ACCOUNT_NOT_PAPER")],
)
def test_paper_mode_trades_only_what_proves_to_be_paper(account: str, code: str) -> None:
    assert code_of(account=account, status=dataclasses.replace(STATUS, account=account)) == code


def test_an_order_for_another_account_than_the_connections_is_refused() -> None:
    assert code_of(account="DU2") == "ACCOUNT_NOT_ALLOWED"


def test_live_needs_its_file_and_its_list(settings: Settings, state: Path) -> None:
    live(settings, state)
    status = dataclasses.replace(STATUS, account="U7")
    assert code_of(account="U7", status=status) == ""
    assert code_of(account="U8", status=dataclasses.replace(status, account="U8")) == "ACCOUNT_NOT_ALLOWED"
    (state / "live").unlink()
    assert code_of(account="U7", status=status) == "LIVE_OVERRIDE_MISSING"


def test_the_broker_must_be_ready() -> None:
    assert code_of(status=dataclasses.replace(STATUS, ready=False)) == "BROKER_NOT_READY"


def test_a_cancel_passes_a_halt_and_needs_account_connection_and_orders(settings: Settings) -> None:
    gates.halt_set(HaltState.HALTED, "ann", "now")
    unready = dataclasses.replace(STATUS, ready=False)
    gates.check_cancel(account="DU1", status=unready)
    with pytest.raises(TradingDisabled):
        gates.check_cancel(account="U1", status=STATUS)
    settings.ORDERS_ENABLED = False
    with pytest.raises(TradingDisabled):
        gates.check_cancel(account="DU1", status=STATUS)


def test_a_cancel_waits_for_the_connection_and_is_not_refused() -> None:
    away = dataclasses.replace(STATUS, ready=False, connected=False, reason="the gateway restarts")
    with pytest.raises(BrokerUnavailable, match="the gateway restarts"):
        gates.check_cancel(account="DU1", status=away)
    with pytest.raises(TradingDisabled):  # what a person must open first is said first
        gates.check_cancel(account="U1", status=away)


def test_the_snapshot_says_what_was_in_force_and_keeps_secrets() -> None:
    found = gates.snapshot("DU1")
    assert {"mode": "paper", "orders_enabled": True, "account": "DU1", "halt": "ACTIVE"}.items() <= found.items()
    assert found["build"]
    assert not any("secret" in name or "key" in name for name in found)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"in_restart_window": True}, "RESTART_WINDOW", id="the gateway restarts"),
        pytest.param({"in_restart_window": True, "ready": False}, "RESTART_WINDOW", id="it is away for its restart"),
        pytest.param({"skew_s": Decimal("2.001")}, "CLOCK_SKEW", id="its clock is ahead"),
        pytest.param({"skew_s": Decimal("-2.001")}, "CLOCK_SKEW", id="its clock is behind"),
        pytest.param({"skew_s": Decimal(2)}, "", id="two seconds are borne"),
        pytest.param({"skew_s": Decimal(99), "clock": "set"}, "", id="a set clock is nobody's"),
        pytest.param({"skew_s": None}, "", id="not measured yet"),
    ],
)
def test_the_restart_window_and_the_clocks(changes: dict[str, Any], code: str) -> None:
    status = dataclasses.replace(STATUS, **changes)
    assert code_of(status=status) == code
    exits = "" if code == "CLOCK_SKEW" else code
    assert code_of(status=status, reduces=True) == exits, "a wrong clock traps nobody in a position"
    gates.check_cancel(account="DU1", status=status)
