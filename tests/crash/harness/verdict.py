"""The oracle's word on a desk that has settled."""

from __future__ import annotations

from collections import Counter

from autotrader.core.audit.verify import verify_chain
from tests.crash.harness.desk import Desk
from trading.models import Order


def violations(desk: Desk) -> list[str]:
    """What is wrong, in sentences; empty where every promise was kept."""
    found = []
    truth = desk.gateway.truth()
    refs = Counter(row["order_ref"] for row in truth["orders"].values())
    found += [f"I1: {ref} is {count} orders at the broker" for ref, count in refs.items() if count > 1]
    known = set(Order.objects.values_list("order_ref", flat=True))
    found += [f"I2: {ref} has no row" for ref in refs if ref not in known]
    if not verify_chain().ok:
        found.append("I7: the chain is broken")
    return found
