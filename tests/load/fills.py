"""From a fill at the gateway to its row in a browser: the Desk's list of events, and the pages of trades and orders."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.load.browser import chromium, person
from tests.load.frame import Figure, Spread, Told
from tests.load.house import House, cookies
from tests.load.running import Desk, desk

# Each round is two fills: a purchase at the market, and a sale by an order that has rested. Fewer for a look at whether
# it works at all.
ROUNDS = int(os.environ.get("AUTOTRADER_LOAD_ROUNDS", "50"))
KINDS = {"BUY": "market order with bracket", "SELL": "resting order"}
MOST_MS = {"postgresql": 150, "sqlite": 350}
# Wall time in ms, to the microsecond, at which each row was first there. A list's item is known by its event, a
# table's row by its words.
WATCH = """
() => {
  window.seen = {};
  const words = (row) => [...row.cells].map((cell) => cell.textContent.trim().replace(/\\s+/g, " ")).join("|");
  new MutationObserver((changes) => {
    const now = performance.timeOrigin + performance.now();
    for (const node of changes.flatMap((change) => [...change.addedNodes])) {
      if (node.nodeType !== Node.ELEMENT_NODE) continue;
      if (node.dataset.seq) window.seen[node.dataset.seq] ??= now;
      const alone = node.matches("#trades tbody > tr, #orders tbody > tr") ? [node] : [];
      for (const row of [...alone, ...node.querySelectorAll("#trades tbody tr, #orders tbody tr")].slice(0, NEWEST)) {
        window.seen[words(row)] ??= now;
      }
    }
  }).observe(document.getElementById("main"), { childList: true, subtree: true });
}
""".replace("NEWEST", "8")
PAGES = {"desk": "/desk/", "trades": "/trades/", "orders": "/orders/"}
PLACES = {"desk": "the Desk's line", "trades": "the trade's row", "orders": "the order's row"}
TIMES = """
() => performance.getEntriesByType("resource").filter((entry) => entry.initiatorType === "xmlhttprequest")
  .map((entry) => entry.responseEnd - entry.startTime)
"""


@dataclass(frozen=True)
class Seen:
    """What one page had and when, in ms of wall time; `asked` = how many ms each answer to one of its panels took."""

    rows: dict[str, float]
    asked: list[float]


@dataclass(frozen=True)
class Booked:
    """A fill by our records, with what the rows of the pages say of it."""

    exec_id: str
    seq: int
    side: str
    quantity: str
    order_ref: str
    heard_ms: float
    written_ms: float


def looked_at(name: str) -> Callable[[House], list[Told]]:
    """The run in which a person looks at one of the pages, which has to show a fill in time."""
    return lambda house: _run(house, (name,), MOST_MS[house.vendor])


def all_at_once(house: House) -> list[Told]:
    """The three pages in three windows, all drawn by the processors that the desk has: no bound, it is printed."""
    return _run(house, tuple(PAGES), None)


def _run(house: House, names: Sequence[str], most: int | None) -> list[Told]:
    """Orders of a program, one after the other, filled at once or after a rest, while these pages are open."""
    with desk(house) as running:
        seen = _watched(running, cookies(1)[0], names)
        at_gateway = {exec_id: at / 1e6 for exec_id, at in running.executions().items()}
    booked = [fill for fill in _booked() if fill.exec_id in at_gateway]
    return _figures(most, booked, at_gateway, seen)


def _watched(running: Desk, cookie: str, names: Sequence[str]) -> dict[str, Seen]:
    with chromium() as browser:
        pages = {name: _open(browser, running.web.port, cookie, PAGES[name]) for name in names}
        with running.trading(str(ROUNDS), str(running.control_port)) as trader:
            said, _ = trader.communicate(timeout=60 + 20 * ROUNDS)
        if said.split() != [str(ROUNDS)]:
            raise RuntimeError(f"the trader ended early: {said!r}")
        time.sleep(2)  # the last rows are as late as any
        return {name: Seen(page.evaluate("window.seen"), page.evaluate(TIMES)) for name, page in pages.items()}


def _open(browser: Any, port: int, cookie: str, path: str) -> Any:
    page = person(browser, port, cookie).new_page()
    page.goto(f"http://127.0.0.1:{port}{path}", wait_until="load")
    page.wait_for_selector("#feed[data-state=live]")
    assert not page.evaluate("document.hidden")
    page.evaluate("performance.setResourceTimingBufferSize(100000)")
    page.evaluate(WATCH)
    return page


def _booked() -> list[Booked]:
    """Every fill of ours with its event."""
    from autotrader.core.audit.models import Event
    from broker.models import BrokerMessage
    from trading.models import Fill

    told = BrokerMessage.objects.filter(kind="ExecutionReport").order_by("-pk")
    heard = dict(told.values_list("exec_id", "received_at"))  # the first word of each
    events = {event.subject: event for event in Event.objects.filter(type="FILL_BOOKED")}
    found = []
    for fill in Fill.objects.select_related("order").order_by("pk"):
        event = events[f"fill:{fill.exec_id}"]
        found.append(
            Booked(
                fill.exec_id, event.seq, fill.side, f"{fill.quantity.normalize():f}", fill.order.order_ref,
                heard[fill.exec_id].timestamp() * 1000, event.at.timestamp() * 1000,
            )
        )  # fmt: skip
    return found


def _figures(most: int | None, booked: list[Booked], gateway: dict[str, float], seen: dict[str, Seen]) -> list[Told]:
    found: list[Told] = [
        Figure(f"{len(gateway)} fills at the gateway: not on record", len(gateway) - len(booked), "", 0)
    ]
    for side, kind in KINDS.items():
        mine = [fill for fill in booked if fill.side == side]
        found += [*_rows(kind, most, mine, gateway, seen), *_parts(mine, gateway, seen)]
    asked = [Spread(f"a panel of {PAGES[name]}, asked to answered", page.asked) for name, page in seen.items()]
    return found + asked


def _rows(
    kind: str, most: int | None, booked: list[Booked], gateway: dict[str, float], seen: dict[str, Seen]
) -> Iterator[Told]:
    for name, rows in _shown(booked, seen).items():
        late = [at - gateway[exec_id] for exec_id, at in rows.items()]
        yield Spread(f"{kind}: fill to {name}", late, most)
        yield Figure("  never seen", len(booked) - len(late), "", 0)


def _shown(booked: list[Booked], seen: dict[str, Seen]) -> dict[str, dict[str, float]]:
    """When each fill was first there, by its exec id, in its place on each page."""
    found: dict[str, Callable[[Booked, dict[str, float]], float | None]] = {
        "desk": lambda fill, rows: rows.get(str(fill.seq)),
        "trades": lambda fill, rows: _first(rows, _is_trade(fill)),
        "orders": lambda fill, rows: _first(rows, _is_order(fill)),
    }
    return {
        PLACES[name]: {fill.exec_id: at for fill in booked if (at := found[name](fill, page.rows)) is not None}
        for name, page in seen.items()
    }


def _is_trade(fill: Booked) -> Callable[[list[str]], bool]:
    """A purchase opens a trade of so many, and the sale closes it."""
    words, state = f"long {fill.quantity} ", "open" if fill.side == "BUY" else "closed"
    return lambda cells: cells[1].startswith(words) and cells[2].lower().startswith(state)


def _is_order(fill: Booked) -> Callable[[list[str]], bool]:
    return lambda cells: cells[-1] == fill.order_ref and cells[4].lower().startswith("filled")


def _first(rows: dict[str, float], is_it: Callable[[list[str]], bool]) -> float | None:
    """When such a row was first there."""
    return min((at for text, at in rows.items() if is_it(text.split("|"))), default=None)


def _parts(booked: list[Booked], gateway: dict[str, float], seen: dict[str, Seen]) -> list[Told]:
    """Where the time goes."""
    written = {fill.exec_id: fill.written_ms for fill in booked}
    return [
        Spread("  gateway to the owner's writer", [fill.heard_ms - gateway[fill.exec_id] for fill in booked]),
        Spread("  writer to the event", [fill.written_ms - fill.heard_ms for fill in booked]),
        *(
            Spread(f"  event to {name}", [at - written[exec_id] for exec_id, at in rows.items()])
            for name, rows in _shown(booked, seen).items()
        ),
    ]
