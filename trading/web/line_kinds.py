"""What each event type touches on the pages, and how its line looks."""

from __future__ import annotations

from autotrader.core.audit.event_types import EventType as E

_FILLED = ("orders", "trades", "positions", "account")
_BROKER = ("gateway", "account", "positions", "orders")
_WORK = ("executions", "cycles")

# The words of the panels that an event of the type makes old.
POKES: dict[str, tuple[str, ...]] = {
    E.ORDER_PLACED: ("orders",),
    E.ORDER_FILLED: _FILLED,
    E.ORDER_CANCELLED: ("orders",),
    E.ORDER_DRAFTED: ("orders",),
    E.ORDER_REFUSED: ("orders",),
    E.ORDER_APPROVED: ("orders",),
    E.ORDER_SENDING: ("orders",),
    E.ORDER_SIMULATED: ("orders",),
    E.ORDER_ACCEPTED: ("orders",),
    E.ORDER_PARTIALLY_FILLED: _FILLED,
    E.ORDER_REJECTED: ("orders",),
    E.ORDER_EXPIRED: ("orders",),
    E.ORDER_UNKNOWN: ("orders", "discrepancies"),
    E.ORDER_ABSENT: ("orders",),
    E.ORDER_CANCEL_REQUESTED: ("orders",),
    E.ORDER_CHANGE_SENDING: ("orders",),
    E.ORDER_CHANGE_ACKED: ("orders",),
    E.ORDER_CHANGE_REJECTED: ("orders",),
    E.ORDER_CHANGE_UNKNOWN: ("orders",),
    E.ORDER_EXTERNAL: ("orders", "discrepancies"),
    E.FILL_BOOKED: _FILLED,
    E.FILL_COMMISSION: _FILLED,
    E.FILL_CORRECTED: _FILLED,
    E.LATE_FILL: (*_FILLED, "discrepancies"),
    E.BUST: (*_FILLED, "discrepancies"),
    E.TRADE_OPENED: ("trades", "positions", "account"),
    E.TRADE_CHANGED: ("trades", "positions", "account"),
    E.TRADE_CLOSED: ("trades", "positions", "account"),
    E.CYCLE_QUEUED: ("cycles", "strategies"),
    E.CYCLE_STARTED: ("cycles",),
    E.CYCLE_DONE: ("cycles", "strategies"),
    E.CYCLE_FAILED: ("cycles", "strategies"),
    E.EXECUTION_QUEUED: _WORK,
    E.EXECUTION_CLAIMED: _WORK,
    E.EXECUTION_RESUMED: _WORK,
    E.EXECUTION_WAITING: _WORK,
    E.EXECUTION_DONE: _WORK,
    E.EXECUTION_FAILED: _WORK,
    E.STEP_DONE: _WORK,
    E.STEP_FAILED: _WORK,
    E.DECISION_MADE: ("decisions", "executions"),
    E.DECISION_ALLOWED: ("decisions", "executions"),
    E.DECISION_REFUSED: ("decisions", "executions"),
    E.ACCOUNT_SNAPSHOT: ("account",),
    E.CLOCK_SUBSTITUTED: ("gateway",),
    E.BROKER_CONNECTED: _BROKER,
    E.BROKER_DISCONNECTED: _BROKER,
    E.BROKER_MESSAGE_FAILED: ("gateway", "discrepancies"),
    E.HALT_CHANGED: ("halt",),
    E.STRATEGY_CHANGED: ("strategies",),
    E.RISK_PROFILE_CHANGED: ("strategies",),
    E.WORKFLOW_PUBLISHED: ("strategies",),
    E.POSITION_MISMATCH: ("positions", "discrepancies"),
    E.POSITION_MATCHED: ("positions", "discrepancies"),
    E.ORDER_DOUBLED: ("orders", "discrepancies"),
    E.ORDER_DOUBLED_UNRESOLVED: ("orders", "discrepancies"),
    E.ORDER_REQUESTED: ("requests",),
    E.ORDER_REQUEST_REFUSED: ("requests",),
    E.ORDER_REQUEST_ACCEPTED: ("requests",),
    E.ORDER_PENDING_APPROVAL: ("orders", "approvals"),
    E.APPROVAL_REQUESTED: ("approvals",),
    E.APPROVAL_VOTED: ("approvals",),
    E.APPROVAL_GIVEN: ("approvals",),
    E.APPROVAL_REJECTED: ("approvals",),
    E.APPROVAL_EXPIRED: ("approvals",),
    E.APPROVAL_VOIDED: ("approvals",),
    E.APPROVAL_USED: ("approvals", "orders"),
    E.DISPATCH_QUEUED: ("requests",),
    E.DISPATCH_CLAIMED: ("requests",),
    E.DISPATCH_RESUMED: ("requests",),
    E.DISPATCH_DONE: ("requests", "orders"),
    E.DISPATCH_FAILED: ("requests", "orders"),
    E.DISCREPANCY_OPENED: ("discrepancies",),
    E.DISCREPANCY_CHANGED: ("discrepancies",),
    E.DISCREPANCY_RESOLVED: ("discrepancies",),
    E.OVERFILL: (*_FILLED, "discrepancies"),
    E.HALT_CANCELS_ASKED: ("halt", "orders"),
    E.HALT_CANCELS_CONFIRMED: ("halt", "orders"),
    E.LOSS_LIMIT_REACHED: ("account", "halt"),
    E.STRATEGY_SUSPENDED: ("strategies",),
    E.STRATEGY_RESUMED: ("strategies",),
    E.AUDIT_ANCHOR_FAILED: (),
    E.HALT_RELEASE_REFUSED: ("halt",),
    E.API_KEY_CREATED: (),
    E.API_KEY_CHANGED: (),
    E.API_KEY_REVOKED: (),
    E.LOGIN_LOCKED: (),
    E.CYCLE_CANCELLED: ("cycles", "strategies"),
    E.EXECUTION_CANCELLED: _WORK,
    E.INSTRUMENT_ADDED: ("strategies",),
    E.INSTRUMENT_CHANGED: ("strategies",),
    E.LIST_EXPORTED: (),
    E.DECISION_ASKED_AGAIN: ("decisions",),
    E.DECISION_ASKING_AGAIN: ("decisions",),
    E.DECISION_ANSWERED_AGAIN: ("decisions",),
    E.DECISION_REPLAYED: ("decisions",),
    E.TASK_RESUBMITTED: (),
}
# What a fill changes: the rows of the order and the trade are asked for at once, before the panels they stand in.
FILLS = frozenset(
    {
        E.FILL_BOOKED, E.FILL_CORRECTED, E.LATE_FILL, E.BUST, E.OVERFILL, E.ORDER_FILLED, E.ORDER_PARTIALLY_FILLED,
        E.TRADE_OPENED, E.TRADE_CHANGED, E.TRADE_CLOSED,
    }
)  # fmt: skip

GOOD = frozenset(
    {
        E.ORDER_FILLED, E.ORDER_ACCEPTED, E.ORDER_APPROVED, E.ORDER_CHANGE_ACKED, E.FILL_BOOKED, E.TRADE_CLOSED,
        E.CYCLE_DONE, E.EXECUTION_DONE, E.DECISION_ALLOWED, E.BROKER_CONNECTED, E.POSITION_MATCHED, E.APPROVAL_GIVEN,
        E.ORDER_REQUEST_ACCEPTED, E.APPROVAL_USED, E.DISPATCH_DONE, E.DISCREPANCY_RESOLVED, E.HALT_CANCELS_CONFIRMED,
        E.STRATEGY_RESUMED, E.STEP_DONE,
    }
)  # fmt: skip
BAD = frozenset(
    {
        E.ORDER_REFUSED, E.ORDER_REJECTED, E.ORDER_CHANGE_REJECTED, E.LATE_FILL, E.BUST, E.OVERFILL, E.CYCLE_FAILED,
        E.EXECUTION_FAILED, E.STEP_FAILED, E.DECISION_REFUSED, E.BROKER_DISCONNECTED, E.BROKER_MESSAGE_FAILED,
        E.POSITION_MISMATCH, E.ORDER_DOUBLED, E.ORDER_DOUBLED_UNRESOLVED, E.ORDER_REQUEST_REFUSED,
        E.APPROVAL_REJECTED, E.DISPATCH_FAILED, E.DISCREPANCY_OPENED, E.LOSS_LIMIT_REACHED, E.AUDIT_ANCHOR_FAILED,
    }
)  # fmt: skip
WARN = frozenset(
    {
        E.ORDER_UNKNOWN, E.ORDER_ABSENT, E.ORDER_EXPIRED, E.ORDER_CHANGE_UNKNOWN, E.ORDER_EXTERNAL, E.FILL_CORRECTED,
        E.ORDER_SIMULATED, E.CLOCK_SUBSTITUTED, E.HALT_CHANGED, E.ORDER_PENDING_APPROVAL, E.APPROVAL_REQUESTED,
        E.APPROVAL_EXPIRED, E.APPROVAL_VOIDED, E.DISCREPANCY_CHANGED, E.HALT_CANCELS_ASKED, E.STRATEGY_SUSPENDED,
        E.HALT_RELEASE_REFUSED, E.LOGIN_LOCKED, E.EXECUTION_RESUMED, E.DISPATCH_RESUMED, E.CYCLE_CANCELLED,
        E.EXECUTION_CANCELLED, E.API_KEY_REVOKED,
    }
)  # fmt: skip
BUSY = frozenset(
    {
        E.ORDER_PLACED, E.ORDER_SENDING, E.ORDER_PARTIALLY_FILLED, E.ORDER_CANCEL_REQUESTED, E.ORDER_CHANGE_SENDING,
        E.TRADE_OPENED, E.CYCLE_QUEUED, E.CYCLE_STARTED, E.EXECUTION_QUEUED, E.EXECUTION_CLAIMED,
        E.EXECUTION_WAITING, E.ORDER_REQUESTED, E.DISPATCH_QUEUED, E.DISPATCH_CLAIMED, E.DECISION_ASKED_AGAIN,
        E.DECISION_ASKING_AGAIN,
    }
)  # fmt: skip
TONES = {kind: name for name, kinds in (("good", GOOD), ("bad", BAD), ("warn", WARN), ("busy", BUSY)) for kind in kinds}


def tone(kind: str) -> str:
    """The colour of a line of this type: good, bad, warn, busy or plain. The sentence says it in words."""
    return TONES.get(kind, "plain")  # type: ignore[call-overload,no-any-return]
