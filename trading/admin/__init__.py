"""The desk in Django's admin: one file a topic."""

from trading.admin import accounts, cycles, decisions, market, orders, queue, strategies, workflows

__all__ = ["accounts", "cycles", "decisions", "market", "orders", "queue", "strategies", "workflows"]
