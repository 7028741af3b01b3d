"""The gates before every order, read at send time, all failing closed; and the Halt, row and file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from autotrader.core.build import build_id
from autotrader.core.ops import measures
from broker import latch as latches
from broker import types
from broker.errors import BrokerUnavailable, TradingDisabled
from broker.halts import HaltReading, halt_reading, halt_release, halt_set, halt_state, halt_sync
from broker.latch import STRICTNESS, Cancel, HaltState

__all__ = [
    "STRICTNESS",
    "Cancel",
    "HaltReading",
    "HaltState",
    "check_broker",
    "check_cancel",
    "check_clocks",
    "check_kill",
    "check_money",
    "check_preview",
    "check_send",
    "halt_file",
    "halt_file_gate",
    "halt_reading",
    "halt_release",
    "halt_set",
    "halt_state",
    "halt_sync",
    "refuse_in_transaction",
    "snapshot",
]
logger = logging.getLogger(__name__)
PAPER_PREFIXES = ("DU", "DF")
MOST_SKEW = 2  # seconds between the broker's clock and ours


def halt_file(state_dir: Path) -> Path:
    """The file latch: its existence means that something is halted, whatever it says."""
    return latches.path_of(state_dir)


def halt_file_gate(state_dir: Path, reduces: bool, protective: bool = False) -> None:
    """The very last look, file only: raises TradingDisabled HALTED or REDUCING for what may not leave."""
    file = latches.read(state_dir)
    if file is not None:
        _refuse_halted(HaltState(file.state), file.reason, reduces=reduces, protective=protective)


def check_send(*, reduces: bool, account: str, status: types.BrokerStatus, protective: bool = False) -> None:
    """Every gate for an order or a modify; raises TradingDisabled with the code of the first that is shut.

    `reduces`: it can only reduce a position; `protective`: it is a stop that protects one, open even when HALTED.
    """
    with measures.timed_gate("send"):
        _check_halt(reduces=reduces, protective=protective)
        check_money(account=account, status=status)
        check_broker(status)
        if not reduces:  # a wrong clock must not trap a position
            check_clocks(status)
    if settings.TRADING_MODE == "live":
        logger.warning("a live order passes the gates")


def check_money(*, account: str, status: types.BrokerStatus) -> None:
    """The live-money gates: orders enabled, the account's proof, and for live money the list and the override file."""
    _check_enabled()
    _check_account(account, status)
    _check_live()


def check_broker(status: types.BrokerStatus) -> None:
    """The broker's own state: connected and reconciled, and not about to restart."""
    _check_restart(status)
    if not status.ready:
        raise TradingDisabled(f"The broker is not ready: {status.reason}", code="BROKER_NOT_READY")


def check_cancel(*, account: str, status: types.BrokerStatus) -> None:
    """The gates of a cancel: orders enabled and the account's proof; a Halt leaves it open.

    Raises BrokerUnavailable where only the connection is missing: it comes back without a person, so that a wish to
    cancel must not end by it.
    """
    _check_enabled()
    _check_account(account, status)
    if not status.connected:
        raise BrokerUnavailable(f"The broker is not connected: {status.reason}")


def check_kill(account: str) -> None:
    """The gate of the kill switch's cancels: the account's proof alone; orders may be disabled."""
    _check_account(account)


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


def _check_halt(*, reduces: bool, protective: bool) -> None:
    reading = halt_reading()
    _refuse_halted(reading.state, reading.reason, reduces=reduces, protective=protective)


def _refuse_halted(state: HaltState, reason: str, *, reduces: bool, protective: bool) -> None:
    if state is HaltState.HALTED and not (reduces and protective):
        raise TradingDisabled(f"Trading is halted: {reason}", code="HALTED")
    if state is HaltState.REDUCING and not reduces:
        raise TradingDisabled(f"Only orders that reduce a position may leave: {reason}", code="REDUCING")


def _check_enabled() -> None:
    if not settings.ORDERS_ENABLED:
        raise TradingDisabled("ORDERS_ENABLED is false; no order leaves.", code="ORDERS_DISABLED")


def _check_account(account: str, status: types.BrokerStatus | None = None) -> None:
    if settings.TRADING_MODE == "paper" and not account.startswith(PAPER_PREFIXES):
        raise TradingDisabled(
            f"TRADING_MODE=paper, but {account or 'the account'} does not prove to be a paper account (DU…, DF…).",
            code="ACCOUNT_NOT_PAPER",
        )
    allowed = settings.AUTOTRADER_ALLOWED_ACCOUNTS
    listed = settings.TRADING_MODE == "live" or (settings.AUTOTRADER_BROKER == "tws" and allowed)
    if listed and account not in allowed:
        raise TradingDisabled(f"{account} is not in AUTOTRADER_ALLOWED_ACCOUNTS.", code="ACCOUNT_NOT_ALLOWED")
    if status is not None and status.account and account != status.account:
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


def _check_restart(status: types.BrokerStatus) -> None:
    """A frame that is written as the gateway restarts may be lost, and its id be given to another order."""
    if status.in_restart_window:
        raise TradingDisabled(
            "The gateway restarts about now; no order leaves before it is proven to be back.", code="RESTART_WINDOW"
        )


def check_clocks(status: types.BrokerStatus) -> None:
    """Deadlines and sessions are judged by our clock, so it must agree with the broker's; a set clock is nobody's."""
    if status.clock == "system" and status.skew_s is not None and abs(status.skew_s) > MOST_SKEW:
        raise TradingDisabled(
            f"The broker's clock and ours differ by {status.skew_s} s; set this machine's clock.", code="CLOCK_SKEW"
        )


def _override_present() -> bool:
    path = settings.LIVE_TRADING_OVERRIDE_FILE
    return bool(path) and Path(path).is_file()
