"""History at a steady rate over kept connections, and live answers while the broker is away."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from tests.load.clients import ask
from tests.load.frame import Figure, percentile
from tests.load.house import House, Web, keys

RATE, CONNECTIONS, SECONDS = 150, 16, 20
# Events a second that are recorded meanwhile: an answer cannot stay the same for longer than between two of them.
CHANGES = 5
EVENTS, ORDERS = 200_000, 20_000
HISTORY = (
    "/api/history/events?limit=50",
    "/api/history/events?type=ORDER_ACCEPTED&limit=50",
    "/api/history/orders?limit=50",
    "/api/history/trades?limit=50",
    "/api/history/decisions?limit=50",
)
LIVE, ASKED = "/api/live/positions", 300


@dataclass
class Answers:
    """What came back, and how long after it was due."""

    late_ms: list[float] = field(default_factory=list)
    other: dict[int, int] = field(default_factory=dict)

    def note(self, status: int, wanted: int, ms: float) -> None:
        self.late_ms.append(ms)
        if status != wanted:
            self.other[status] = self.other.get(status, 0) + 1


def history(house: House) -> list[Figure]:
    """150 requests a second, each due at its time: an answer that keeps others waiting is counted for them too.

    The log grows meanwhile, as on a desk that trades.
    """
    from tests.bench.history_rows import fill

    fill(EVENTS, ORDERS)
    with house.web() as web, house.writing("--rate", str(CHANGES)):
        names = keys(1)
        asyncio.run(_at_a_rate(web, names[0], 3))
        cpu, threads = web.cpu_s(), web.threads()
        answers = asyncio.run(_at_a_rate(web, names[0], SECONDS))
        return [
            Figure(f"history at {RATE} requests/s, {CHANGES} events/s: median", percentile(answers.late_ms, 0.5), "ms"),
            Figure("  99 % of them", percentile(answers.late_ms, 0.99), "ms", 250),
            Figure("  the latest", max(answers.late_ms), "ms"),
            Figure("  not answered 200", sum(answers.other.values()), "", 0),
            Figure("  processor", (web.cpu_s() - cpu) / SECONDS * 100, "%"),
            Figure("  threads", threads, ""),
            Figure("  database connections", web.connections(), ""),
        ]


async def _at_a_rate(web: Web, key: str, seconds: float) -> Answers:
    answers, due = Answers(), iter(range(int(RATE * seconds)))
    began = time.monotonic() + 0.1
    await asyncio.gather(*(_keep_asking(web, key, due, began, answers) for _ in range(CONNECTIONS)))
    return answers


async def _keep_asking(web: Web, key: str, due: object, began: float, answers: Answers) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    for number in due:  # type: ignore[attr-defined]
        at = began + number / RATE
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        status, _ = await ask(reader, writer, HISTORY[number % len(HISTORY)], key)
        answers.note(status, 200, (time.monotonic() - at) * 1000)
    writer.close()


def live(house: House) -> list[Figure]:
    """No owner of the broker runs: the first answers find that out, the others know it."""
    with house.web() as web:
        answers = asyncio.run(_ask_live(web, keys(1)[0]))
    first, known = answers.late_ms[0], answers.late_ms[1:]
    return [
        Figure("live while the broker is away: the first 503", first, "ms", 1000),
        Figure("  median once known", percentile(known, 0.5), "ms"),
        Figure("  99 % once known", percentile(known, 0.99), "ms", 100),
        Figure("  not answered 503", sum(answers.other.values()), "", 0),
    ]


async def _ask_live(web: Web, key: str) -> Answers:
    answers = Answers()
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    await ask(reader, writer, HISTORY[0], key)  # what every first request loads
    for _ in range(ASKED):
        began = time.monotonic()
        status, _ = await ask(reader, writer, LIVE, key)
        answers.note(status, 503, (time.monotonic() - began) * 1000)
    writer.close()
    return answers
