"""How a control's refusal is told over HTTP: correct the order (422), look at what is there (409), or wait (403)."""

from __future__ import annotations

# What no change of the order would help: a gate is shut, and a person must open it or it opens with time.
SHUT = frozenset(
    {
        "HALTED", "REDUCING", "ORDERS_DISABLED", "ACCOUNT_NOT_PAPER", "ACCOUNT_NOT_ALLOWED", "LIVE_OVERRIDE_MISSING",
        "BROKER_NOT_READY", "RESTART_WINDOW", "CLOCK_SKEW", "CLOCK_UNKNOWN", "NOT_RECONCILED", "STRATEGY_SUSPENDED",
        "STRATEGY_DISABLED", "MODE_CHANGED", "LOSS_HALTED", "DAY_LOSS", "STORAGE",
    }
)  # fmt: skip
TAKEN = frozenset(
    {
        "DUPLICATE_ORDER", "NO_ROOM_LEFT", "POSITION_CHANGED", "EXIT_AT_WORK", "ENTRY_WORKING", "STALE_REQUEST",
        "CHANGED_MEANWHILE",
    }
)  # fmt: skip


def status_of(code: str, default: int) -> int:
    """The status of a refusal with this code."""
    return 403 if code in SHUT else 409 if code in TAKEN else default
