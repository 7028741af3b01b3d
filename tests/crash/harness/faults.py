"""What the driver does while a process waits at its point, and how the world is put right again afterwards."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from autotrader.core.ops.pace import paced
from tests.crash.harness.desk import Desk

STOPPED = 120.0  # seconds, before they are paced
OUTAGE = 30.0
FULL = 10.0
RESTARTING = 0.2
AWAY = 60.0  # seconds, before they are paced: two wakes of a worker
HELD = 0.3  # seconds in life: longer than a frame may still leave after a halt
ROLLED_BACK = 3
OURS = ("web", "worker", "broker")


def stop(desk: Desk, pid: int) -> None:
    """The process at the point has stopped itself: another worker takes over; then it wakes."""
    desk.owner_stopped = desk.owner_stopped or any(forked.pid == pid for forked in desk.processes("broker"))
    desk.start_worker()
    time.sleep(paced(STOPPED))
    _signal(desk, pid, signal.SIGCONT)


def kill_other(desk: Desk, pid: int) -> None:
    """Whoever the process at the point talks to."""
    at_broker = any(forked.pid == pid for forked in desk.processes("broker"))
    for forked in desk.processes(*(("web", "worker") if at_broker else ("broker",))):
        forked.end()


def kill_all(desk: Desk, pid: int) -> None:
    """A machine that goes down."""
    everybody = desk.processes(*OURS, "reader")
    for forked in everybody:
        forked.signal(signal.SIGKILL)
    desk.gateway.kill()
    for forked in everybody:
        forked.end()


def gateway(desk: Desk, pid: int) -> None:
    """The gateway's process dies, and is away for so long that what it was asked is told again meanwhile."""
    desk.gateway.kill()
    release(desk)
    desk.start_worker()
    time.sleep(paced(AWAY))


def halt(desk: Desk, pid: int) -> None:
    """Trading is halted; whoever waits at the point goes on when nothing that adds to risk may leave any more."""
    desk.halt()
    time.sleep(HELD)


def reset(desk: Desk, pid: int) -> None:
    """RST of every connection."""
    desk.gateway.control.fault("reset")


def rollback(desk: Desk, pid: int) -> None:
    """The nightly restart after which order ids are used again."""
    desk.gateway.control.fault("restart", back=ROLLED_BACK, lasts=RESTARTING)


def database(desk: Desk, pid: int) -> None:
    """The database is away for a while. SQLite: as soon as the process at the point has let go of it."""
    if desk.database.name == "sqlite":
        release(desk)
    desk.database.stop()
    if desk.database.name != "sqlite":
        release(desk)
    time.sleep(paced(OUTAGE))
    desk.database.start()


def disk(desk: Desk, pid: int) -> None:
    """No space left for a while."""
    desk.database.fill()
    release(desk)
    time.sleep(paced(FULL))
    desk.database.free()


def release(desk: Desk) -> None:
    """Let whoever waits at a point go on."""
    for role in OURS:
        desk.board.go_on(role)


def _signal(desk: Desk, pid: int, number: signal.Signals) -> None:
    for forked in desk.processes(*OURS):
        if forked.pid == pid:
            forked.signal(number)


STRIKES: dict[str, Callable[[Desk, int], None]] = {
    "stop": stop,
    "kill-other": kill_other,
    "kill-all": kill_all,
    "gateway": gateway,
    "halt": halt,
    "reset": reset,
    "rollback": rollback,
    "database": database,
    "disk": disk,
}
