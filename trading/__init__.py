"""The desk: strategies, cycles, decisions, risk, orders, trades."""
