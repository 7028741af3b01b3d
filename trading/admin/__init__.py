"""The desk in Django's admin: one file a topic."""

from trading.admin import (
    accounts,
    approvals,
    cycles,
    decisions,
    discrepancies,
    market,
    orders,
    queue,
    requests,
    risk_profiles,
    strategies,
    workflows,
)

__all__ = [
    "accounts",
    "approvals",
    "cycles",
    "decisions",
    "discrepancies",
    "market",
    "orders",
    "queue",
    "requests",
    "risk_profiles",
    "strategies",
    "workflows",
]
