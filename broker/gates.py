"""The gates before every order, read at send time, all failing closed; and the Halt, row and file."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.build import build_id
from autotrader.core.clock import system_now
from broker import types
from broker.errors import TradingDisabled
from broker.models import Halt

logger = logging.getLogger(__name__)
PAPER_PREFIXES = ("DU", "DF")
MOST_SKEW = 2  # seconds between the broker's clock and ours


class HaltState(StrEnum):
    """ACTIVE: everything may leave. REDUCING: only what reduces a position. HALTED: only protective stops."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


STRICTNESS = (HaltState.ACTIVE, HaltState.REDUCING, HaltState.HALTED)


@dataclass(frozen=True, slots=True)
class HaltReading:
    """The Halt in force, with who set it and why; `version` is the row's, 0 without a row."""

    state: HaltState
    reason: str
    actor: str
    at: datetime | None
    version: int


def halt_state() -> HaltState:
    """The stricter of the file latch and the row; HALTED where either cannot be read."""
    return halt_reading().state


def halt_reading() -> HaltReading:
    """As `halt_state()`, with reason, actor and time for people."""
    row = _row_reading()
    if row.state is HaltState.HALTED:
        return row
    refusal = _file_refusal(Path(settings.AUTOTRADER_STATE_DIR))
    if not refusal:
        return row
    return HaltReading(HaltState.HALTED, refusal, "file", None, row.version)


def halt_set(state: HaltState | str, actor: str, reason: str) -> HaltReading:
    """Set row and file. HALTED is in force by the file even where the database then raises."""
    wanted = HaltState(state)
    path = halt_file(Path(settings.AUTOTRADER_STATE_DIR))
    now = system_now()
    if wanted is HaltState.HALTED:
        text = json.dumps({"state": wanted, "actor": actor, "reason": reason, "at": now.isoformat()})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with audit.acting(actor=actor), audit.recording():
        row = _write_row(wanted, actor, reason, now)
    if wanted is not HaltState.HALTED:
        # Not before the row is committed: a crash in between leaves the stricter one.
        transaction.on_commit(lambda: path.unlink(missing_ok=True))
    return HaltReading(wanted, reason, actor, now, row.version)


def halt_file(state_dir: Path) -> Path:
    """The file latch: its existence means HALTED, whatever it says."""
    return state_dir / "HALT"


def halt_file_gate(state_dir: Path, reduces: bool, protective: bool = False) -> None:
    """The very last look, file only: raises TradingDisabled HALTED unless the order is a protective stop."""
    refusal = _file_refusal(state_dir)
    if refusal and not (reduces and protective):
        raise TradingDisabled(f"Trading is halted: {refusal}", code="HALTED")


def check_send(*, reduces: bool, account: str, status: types.BrokerStatus, protective: bool = False) -> None:
    """Every gate for an order or a modify; raises TradingDisabled with the code of the first that is shut.

    `reduces`: it can only reduce a position; `protective`: it is a stop that protects one, open even when HALTED.
    """
    _check_halt(reduces=reduces, protective=protective)
    _check_enabled()
    _check_account(account, status)
    _check_live()
    _check_restart(status)
    if not status.ready:
        raise TradingDisabled(f"The broker is not ready: {status.reason}", code="BROKER_NOT_READY")
    _check_clocks(status)


def check_cancel(*, account: str, status: types.BrokerStatus) -> None:
    """The gates of a cancel: orders enabled, the account's proof and the connection; a Halt leaves it open."""
    _check_enabled()
    _check_account(account, status)
    if not status.connected:
        raise TradingDisabled(f"The broker is not connected: {status.reason}", code="BROKER_NOT_READY")


def check_preview(*, account: str, status: types.BrokerStatus) -> None:
    """The gates of a preview, which places nothing: the account's proof and the connection."""
    _check_account(account, status)
    if not status.connected:
        raise TradingDisabled(f"The broker is not connected: {status.reason}", code="BROKER_NOT_READY")


def snapshot(account: str = "") -> dict[str, Any]:
    """The configuration in force, without secrets, to be stored beside an intent."""
    return {
        "broker": settings.AUTOTRADER_BROKER,
        "mode": settings.TRADING_MODE,
        "orders_enabled": settings.ORDERS_ENABLED,
        "override_file_present": _override_present(),
        "account": account,
        "allowed_accounts": list(settings.AUTOTRADER_ALLOWED_ACCOUNTS),
        "halt": halt_state().value,
        "build": build_id(),
    }


def refuse_in_transaction() -> None:
    """Raise RuntimeError inside a database transaction: the port writes to a network."""
    if _in_transaction():
        raise RuntimeError("the broker was called inside a database transaction")


def _in_transaction() -> bool:
    return bool(transaction.get_connection().in_atomic_block)


def _row_reading() -> HaltReading:
    try:
        row = Halt.objects.filter(pk=1).first()
    except DatabaseError as error:
        return HaltReading(HaltState.HALTED, f"the Halt cannot be read ({type(error).__name__})", "system", None, 0)
    if row is not None:
        return HaltReading(HaltState(row.state), row.reason, row.actor, row.at, row.version)
    if settings.AUTOTRADER_BROKER == "paper":
        return HaltReading(HaltState.ACTIVE, "", "system", None, 0)
    return HaltReading(
        HaltState.HALTED, "a new installation on a real gateway is halted until released", "system", None, 0
    )


def _file_refusal(state_dir: Path) -> str:
    """Why the file latch holds; empty where it is proven open."""
    path = halt_file(state_dir)
    try:
        path.lstat()
    except FileNotFoundError:
        return "" if state_dir.is_dir() else f"{state_dir} is missing"
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    return _latch_reason(path)


def _latch_reason(path: Path) -> str:
    try:
        reason = json.loads(path.read_text())["reason"]
    except (OSError, ValueError, LookupError, TypeError):
        return f"{path} exists"
    return str(reason)


def _write_row(state: HaltState, actor: str, reason: str, now: datetime) -> Halt:
    row = Halt.objects.select_for_update().filter(pk=1).first()
    before = row.state if row else ""
    if row is None:
        row = Halt(pk=1, version=0)
    row.state, row.actor, row.reason, row.at = state.value, actor, reason, now
    row.version += 1
    row.save()
    audit.record(
        EventType.HALT_CHANGED, "halt:1", version=row.version, old_state=before, new_state=state.value, cause=reason
    )
    return row


def _check_halt(*, reduces: bool, protective: bool) -> None:
    reading = halt_reading()
    if reading.state is HaltState.HALTED and not (reduces and protective):
        raise TradingDisabled(f"Trading is halted: {reading.reason}", code="HALTED")
    if reading.state is HaltState.REDUCING and not reduces:
        raise TradingDisabled(f"Only orders that reduce a position may leave: {reading.reason}", code="REDUCING")


def _check_enabled() -> None:
    if not settings.ORDERS_ENABLED:
        raise TradingDisabled("ORDERS_ENABLED is false; no order leaves.", code="ORDERS_DISABLED")


def _check_account(account: str, status: types.BrokerStatus) -> None:
    if settings.TRADING_MODE == "paper" and not account.startswith(PAPER_PREFIXES):
        raise TradingDisabled(
            f"TRADING_MODE=paper, but {account or 'the account'} does not prove to be a paper account (DU…, DF…).",
            code="ACCOUNT_NOT_PAPER",
        )
    allowed = settings.AUTOTRADER_ALLOWED_ACCOUNTS
    listed = settings.TRADING_MODE == "live" or (settings.AUTOTRADER_BROKER == "tws" and allowed)
    if listed and account not in allowed:
        raise TradingDisabled(f"{account} is not in AUTOTRADER_ALLOWED_ACCOUNTS.", code="ACCOUNT_NOT_ALLOWED")
    if status.account and account != status.account:
        raise TradingDisabled(
            f"The connection trades {status.account}, the order names {account}.", code="ACCOUNT_NOT_ALLOWED"
        )


def _check_live() -> None:
    if settings.TRADING_MODE != "live":
        return
    if not _override_present():
        raise TradingDisabled(
            "TRADING_MODE=live, but the file of LIVE_TRADING_OVERRIDE_FILE does not exist.",
            code="LIVE_OVERRIDE_MISSING",
        )
    logger.warning("a live order passes the gates")


def _check_restart(status: types.BrokerStatus) -> None:
    """A frame that is written as the gateway restarts may be lost, and its id be given to another order."""
    if status.in_restart_window:
        raise TradingDisabled(
            "The gateway restarts about now; no order leaves before it is proven to be back.", code="RESTART_WINDOW"
        )


def _check_clocks(status: types.BrokerStatus) -> None:
    """Deadlines and sessions are judged by our clock, so it must agree with the broker's; a set clock is nobody's."""
    if status.clock == "system" and status.skew_s is not None and abs(status.skew_s) > MOST_SKEW:
        raise TradingDisabled(
            f"The broker's clock and ours differ by {status.skew_s} s; set this machine's clock.", code="CLOCK_SKEW"
        )


def _override_present() -> bool:
    path = settings.LIVE_TRADING_OVERRIDE_FILE
    return bool(path) and Path(path).is_file()
