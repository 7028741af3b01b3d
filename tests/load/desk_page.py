"""The Desk with a hundred positions at the broker and as many working orders."""

from __future__ import annotations

import os
import time

from tests.load.asking import Visitor
from tests.load.frame import Figure, Spread, Told
from tests.load.house import House, cookies
from tests.load.running import desk

# Fewer for a look at whether it works at all.
POSITIONS = int(os.environ.get("AUTOTRADER_LOAD_POSITIONS", "100"))
TIMES, MOST_MS = 30, 300
PAUSE_S = 1.1  # the broker's numbers are kept for a second
COMES_LATER = b"is being asked"
PANELS = ("account", "approvals", "positions", "orders", "gateway")


def desk_page(house: House) -> list[Told]:
    """To the last byte of the whole page, with the broker asked anew each time, and with its answer kept.

    A page does not wait long for the broker: what it has not told by then is asked for by the page, and timed as well.
    """
    with desk(house) as running:
        running.house.run("-m", "tests.load.holder", str(running.control_port), str(POSITIONS))
        visitor = Visitor(running.web.port, cookies(1)[0])
        first = visitor.page("/desk/")[1]  # what every first request loads
        anew, whole, kept = [], [], []
        for _ in range(TIMES):
            time.sleep(PAUSE_S)
            page, took = visitor.page("/desk/")
            anew.append(took)
            whole.append(took + sum(visitor.page(f"/desk/{name}/")[1] for name in PANELS if COMES_LATER in page))
            body, took = visitor.page("/desk/")
            kept.append(took)
        visitor.close()
    return [
        Figure("Desk: bytes of the page", len(body), "B"),
        Figure("  the first of a new process", first, "ms"),
        Spread(f"Desk, {POSITIONS} positions, the broker asked anew", anew, MOST_MS),
        Spread("  and its panels with all that the broker says, one after the other", whole),
        Spread("Desk, the broker's answer of the same second", kept, MOST_MS),
    ]
