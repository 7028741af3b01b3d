"""The admin's lists on a long past: a million events, a hundred thousand orders, each page asked again and again."""

from __future__ import annotations

import os
from urllib.parse import urlencode

from tests.load.asking import Visitor
from tests.load.frame import Spread
from tests.load.house import House, cookies

# Fewer for a look at whether it works at all.
EVENTS = int(os.environ.get("AUTOTRADER_LOAD_EVENTS", "1000000"))
ORDERS = int(os.environ.get("AUTOTRADER_LOAD_ORDERS", "100000"))
TIMES, MOST_MS = 30, 300
NOON = 86_400 * 3 // 2  # the event at noon of the second day: there is one a second
EVENT_LIST, ORDER_LIST = "/admin/audit/event/", "/admin/trading/order/"


def console(house: House) -> list[Spread]:
    """As a person sees the lists: the first page, filters, a day, older pages, and what the search box finds."""
    from tests.bench.history_rows import fill

    fill(EVENTS, ORDERS)
    with house.web() as web:
        visitor = Visitor(web.port, cookies(1)[0])
        for path in (EVENT_LIST, ORDER_LIST):
            visitor.page(path)  # what every first request loads
        found = [
            Spread(name, [visitor.page(path)[1] for _ in range(TIMES)], MOST_MS) for name, path in _lists().items()
        ]
        visitor.close()
    return found


def _lists() -> dict[str, str]:
    """What is asked, by what it is called: values that many rows have, that none has, and that the oldest have."""
    day, after = _a_day()
    events = {
        "first page": {},
        "a page from the middle": {"older": str(EVENTS // 2)},
        "filter: a type that a third has": {"type__exact": "ORDER_SENDING"},
        "filter: a type of the oldest alone": {"type__exact": "BUST"},
        "filter: a type that none has": {"type__exact": "OVERFILL"},
        "filter: an account": {"account__exact": "DU1"},
        "filter: a type and an account": {"type__exact": "ORDER_SENDING", "account__exact": "DU1"},
        "a day": {"at__gte": day, "at__lt": after},
        "a day, older than its noon": {"at__gte": day, "at__lt": after, "older": str(NOON)},
        "a year": {"at__gte": "2025-01-01 00:00:00+00:00", "at__lt": "2026-01-01 00:00:00+00:00"},
        "search: a symbol": {"q": "SYM7"},
        "search: an order": {"q": f"B{ORDERS // 2}"},
        "search: a correlation id": {"q": f"cycle{EVENTS // 40}.{EVENTS // 40}"},
        "search: what is not there": {"q": "nothing-of-this-name"},
    }
    orders = {
        "first page": {},
        "filter: a state": {"state__exact": "FILLED"},
        "filter: a state of the oldest alone": {"state__exact": "EXPIRED"},
        "filter: an account and a role": {"account__id__exact": "DU1", "role__exact": "stop"},
        "filter: a strategy": {"strategy__id__exact": "3"},
        "a day": {"created_at__gte": day, "created_at__lt": after},
        "search: a symbol": {"q": "SYM7"},
        "search: an order": {"q": f"B{ORDERS // 2}"},
        "search: a correlation id": {"q": "cycle77"},
    }
    told = ((f"{EVENTS:,} events", EVENT_LIST, events), (f"{ORDERS:,} orders", ORDER_LIST, orders))
    return {
        f"{title}, {name}": f"{path}?{urlencode(asked)}" if asked else path
        for title, path, looks in told
        for name, asked in looks.items()
    }


def _a_day() -> tuple[str, str]:
    """A day in which there are events and orders, as the filter by date asks for it: the second one of the past."""
    return "2025-01-02 00:00:00+00:00", "2025-01-03 00:00:00+00:00"
