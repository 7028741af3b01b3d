"""The desk in Django's admin: one file a topic."""

from trading.admin import (
    accounts,
    api_keys,
    approvals,
    cycles,
    decisions,
    discrepancies,
    events,
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
    "api_keys",
    "approvals",
    "cycles",
    "decisions",
    "discrepancies",
    "events",
    "market",
    "orders",
    "queue",
    "requests",
    "risk_profiles",
    "strategies",
    "workflows",
]
