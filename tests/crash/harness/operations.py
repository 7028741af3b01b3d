"""What a cell does: each operation by its route, through the services that a person or a strategy uses."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.db import DatabaseError, connections

from autotrader.core.ops.pace import paced
from broker import get_broker
from broker.errors import BrokerUnavailable
from tests.crash.harness import client
from tests.crash.harness.base import APPROVER
from tests.crash.harness.board import Board
from trading import tasks
from trading.models import Approval, Order, Strategy
from trading.services.approval_states import ApprovalRefused
from trading.services.approvals import Word, approval_vote
from trading.services.cycles import cycle_queue
from trading.workflow import lanes

START = "start"
LANES = ("now", "work")
BEFORE_LIMIT = 15.0
PATIENCE = 30.0
WAKE_EVERY = 30.0  # seconds, before they are paced
Do = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Operation:
    """`before` brings the desk to where the operation begins, unless it is there; both run in a process of `role`.

    `asks_again`: whoever died while asking asks again. `worker`: a worker of its own does what was asked.
    `asks_model`: it needs the model's provider.
    """

    name: str
    role: str
    run: Do
    before: Do | None = None
    asks_again: bool = False
    worker: bool = False
    asks_model: bool = False


def cycle(name: str, number: int) -> None:
    """A cycle of the strategy of that name, run as a worker runs it."""
    strategy = Strategy.objects.get(name=name)
    cycle_queue(strategies=[strategy], trigger="manual", actor="harness", wake=False)
    lanes.work("work")


def vote(number: int) -> None:
    """A person says yes to what waits, and says it again where the answer was lost."""
    user = get_user_model().objects.get(username=APPROVER)
    until(partial(_heard, user), PATIENCE, every=paced(2))


def _heard(user: Any) -> bool:
    try:
        approval = Approval.objects.order_by("-id").first()
        if approval is None or approval.state != "PENDING":
            return True
        with get_broker() as broker:
            status = broker.status()
        word = Word(user, approve=True, digest=approval.digest, reason="harness")
        with suppress(ApprovalRefused):
            approval_vote(approval.pk, word, account=status.account, market_now=status.market_now)
    except (DatabaseError, BrokerUnavailable, OSError):
        connections.close_all()
        return False
    return True


def legs(strategy: str | None) -> dict[str, Order]:
    """The newest bracket of a strategy, or of the desk, by role."""
    orders = Order.objects.filter(strategy__name=strategy) if strategy else Order.objects.filter(strategy=None)
    entry = orders.filter(role="entry").order_by("-id").first()
    return {order.role: order for order in Order.objects.filter(group=entry.group)} if entry else {}


def is_protected(strategy: str | None) -> bool:
    """Its entry has filled and both other legs work."""
    states = {role: order.state for role, order in legs(strategy).items()}
    return states == {"entry": "FILLED", "stop": "ACCEPTED", "target": "ACCEPTED"}


def is_resting() -> bool:
    """The desk's entry works."""
    found = legs(None)
    return bool(found) and found["entry"].state == "ACCEPTED" and not found["entry"].filled_quantity


def waits() -> bool:
    """An approval is pending."""
    return Approval.objects.filter(state="PENDING").exists()


def until(done: Callable[[], object], seconds: float = BEFORE_LIMIT, *, every: float = 0.03) -> None:
    """Wait for the desk to come there. Raises TimeoutError."""
    limit = time.monotonic() + seconds
    while not done():
        if time.monotonic() > limit:
            raise TimeoutError(f"the desk did not come to {done}")
        time.sleep(every)


def _first(done: Callable[[], bool], *steps: Do) -> Do:
    """Do the steps and wait, unless it is done already."""

    def before(number: int) -> None:
        if done():
            return
        for step in steps:
            step(number + 1000)
        until(done)

    return before


def _ask_entry(order_type: str, limit: str | None) -> Do:
    return lambda number: client.ask("place", number, client.entry(order_type, limit))


def _ask_exit(number: int) -> None:
    held = legs(None)["stop"].quantity
    client.ask("exit", number, client.closing(f"{held.normalize():f}"))


def _ask_modify(number: int) -> None:
    client.ask("modify", number, client.new_stop(legs(None)["stop"].order_ref))


def _ask_cancel(number: int) -> None:
    client.ask("cancel", number, client.end_of(legs(None)["entry"].order_ref))


def _drain(number: int) -> None:
    for lane in LANES:
        lanes.work(lane)


MARKETABLE, RESTING = "1.01", "0.98"
_marketable = _ask_entry("LMT", MARKETABLE)
_resting = _ask_entry("LMT", RESTING)
_hold = _first(partial(is_protected, None), _marketable)
_rest = _first(is_resting, _resting)
_hold_auto = _first(partial(is_protected, "auto"), partial(cycle, "auto"))
_hold_approved = _first(partial(is_protected, "approve"), partial(cycle, "approve"), vote, _drain)


def _hold_and_ask(number: int) -> None:
    _hold_approved(number)
    if not waits():
        cycle("approve", number)


OPERATIONS: dict[str, Operation] = {
    row.name: row
    for row in (
        Operation("cycle-bracket", "worker", partial(cycle, "auto")),
        Operation("cycle-exit", "worker", partial(cycle, "auto"), _hold_auto),
        Operation("request-mkt", "web", _ask_entry("MKT", None), asks_again=True),
        Operation("request-lmt", "web", _resting, asks_again=True),
        Operation("request-bracket", "web", _marketable, asks_again=True),
        Operation("request-modify", "web", _ask_modify, _hold, asks_again=True),
        Operation("request-cancel", "web", _ask_cancel, _rest, asks_again=True),
        Operation("request-exit", "web", _ask_exit, _hold, asks_again=True),
        Operation(
            "approve-bracket", "web", vote, _first(waits, partial(cycle, "approve")), asks_again=True, worker=True
        ),
        Operation("approve-exit", "web", vote, _hold_and_ask, asks_again=True, worker=True),
        Operation("approve-ask", "worker", partial(cycle, "approve")),
        Operation("cycle-model", "worker", partial(cycle, "model"), asks_model=True),
    )
}


def perform(name: str, number: int, board: Board) -> None:
    """In the operation's process: what comes before, then wait to be told, then the operation."""
    operation = OPERATIONS[name]
    if operation.before is not None:
        operation.before(number)
        _hear_all()
    board.pass_by(START, START, None)
    operation.run(number)


def _hear_all() -> None:
    """What the broker still has to say of what came before is no part of the operation, nor is it a fault's to meet."""
    with suppress(DatabaseError, BrokerUnavailable, OSError), get_broker() as broker:  # else the story goes on as it is
        broker.drain()
        broker.reconcile()
        broker.drain()
    connections.close_all()


def keep_working() -> None:
    """A worker as the queue keeps it: both lanes, woken again and again, and what is done each 30 s."""
    woken = 0.0
    while True:
        _drain(0)
        if time.monotonic() - woken > paced(WAKE_EVERY):
            woken = time.monotonic()
            tasks.wake()
        time.sleep(paced(2))
