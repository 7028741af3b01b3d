"""A random story from one number: operations, faults at points or at times, and what the gateway's link does."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autotrader.core.ops.crashpoints import POINTS
from tests.crash.harness.cells import FAULTS, Outcome
from tests.crash.harness.matrix import PAST_THE_LAST_LOOK
from tests.crash.harness.names import OPERATIONS

if TYPE_CHECKING:
    from tests.crash.harness.running import Runner

MOST_FAULTS = 3
LATEST = 0.6  # seconds after the begin of an operation
LINKS: tuple[dict[str, Any], ...] = (
    {"name": "delay", "kinds": "orders", "seconds": 0.05, "jitter": 0.3},
    {"name": "delay", "kinds": "fills", "seconds": 0.2, "jitter": 0.3},
    {"name": "reorder", "kinds": "orders", "window": 3, "seconds": 0.2},
    {"name": "reorder", "kinds": "all", "window": 4, "seconds": 0.2},
    {"name": "duplicate", "kinds": "fills", "copies": 2},
    {"name": "duplicate", "kinds": "orders", "copies": 1},
    {"name": "drop", "kinds": "fills", "times": 1},
    {"name": "drop", "kinds": "acks", "times": 2},
    {"name": "correct_execution", "seconds": 0.1},
    {"name": "split_fills", "parts": 3},
    {"name": "unanswered", "kinds": "placeOrder", "times": 2},
    {"name": "half_frame", "kinds": "orders", "times": 1},
    {"name": "connectivity", "on": "placeOrder", "lasts": 0.4, "restore": 1102, "orders": "queued"},
    {"name": "connectivity", "on": "placeOrder", "nth": 3, "lasts": 0.4, "restore": 1101, "orders": "unseen"},
    {"name": "connectivity", "lasts": 0.4, "restore": 1102, "orders": "lost"},
    {"name": "reset", "on": "placeOrder", "nth": 2},
    {"name": "restart", "on": "placeOrder", "lasts": 0.2, "back": 5},
)


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault in the run of one operation: at a point of a role or, where it is not reached in time, right then."""

    fault: str
    role: str
    point: str
    occurrence: int
    latest: float


@dataclass(frozen=True, slots=True)
class Story:
    """All that a seed decides; the same on every database."""

    seed: int
    operations: tuple[tuple[str, tuple[Strike, ...]], ...]
    links: tuple[dict[str, Any], ...]


# Told by hand, under numbers below 1. 0: ids come again after two orders have filled, and a third order gets those of
# the first, so that what the gateway tells of both has the same ids. -1: a person says yes, and nothing else happens.
ROLLED_BACK = Strike("rollback", "broker", "evidence_CommissionReport_committed", 1, 5.0)
TOLD = {
    0: Story(0, (("request-bracket", ()), ("request-exit", (ROLLED_BACK,)), ("request-bracket", ())), ()),
    -1: Story(-1, (("approve-bracket", ()),), ()),
}


def story(seed: int) -> Story:
    """The story of a number."""
    if seed in TOLD:
        return TOLD[seed]
    chance = random.Random(f"crash {seed}")
    operations = chance.choices(OPERATIONS, k=chance.choice((1, 1, 1, 2, 2, 3)))
    faults = chance.randint(1, MOST_FAULTS)
    struck = [chance.randrange(len(operations)) for _ in range(faults)]
    last = len(operations) - 1
    plan = tuple(
        (name, tuple(_strike(chance, is_last=number == last) for place in struck if place == number))
        for number, name in enumerate(operations)
    )
    links = tuple({**dict(link), "seed": seed} for link in chance.sample(LINKS, chance.choice((0, 0, 1, 1, 2))))
    return Story(seed, plan, links)


def _strike(chance: random.Random, *, is_last: bool) -> Strike:
    role = chance.choice(("web", "worker", "broker", "broker"))
    points = sorted(name for name, point in POINTS.items() if point.process in (role, "any"))
    fault, point = chance.choice(sorted(set(FAULTS) - {"nested"})), chance.choice(points)
    if fault == "halt" and (point in PAST_THE_LAST_LOOK or not is_last):  # nothing could begin after it
        fault = "kill"
    return Strike(fault, role, point, chance.choice((1, 1, 1, 2, 3)), chance.uniform(0, LATEST))


def play(runner: Runner, seed: int) -> Outcome:
    """Play the story on the runner's database."""
    began = time.monotonic()
    outcome = runner.tell(story(seed))
    outcome.seconds = round(time.monotonic() - began, 3)
    return outcome
