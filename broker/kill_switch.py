"""The kill switch from outside the owner: ask it, and where it is silent, end it and cancel with its client id."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from django.conf import settings

from autotrader.core.build import build_id
from autotrader.core.clock import system_now
from autotrader.core.ops.pace import paced
from broker import latch as latches
from broker import types
from broker.errors import BrokerError, BrokerUnavailable
from broker.ib.client import IbClient
from broker.remote import WRONG_SECRET, RemoteBroker
from broker.service import lock
from broker.service.kill import Run, end_of_run, progress_of, report_of, run_to_end
from broker.service.owner import Place, account_rule

SILENCE = 2.0
CONNECT_LIMIT = 20.0
DEATH_LIMIT = 3.0
LOOK_EVERY = 0.1
Say = Callable[[str], object]


class Silent(Exception):
    """Nobody answers for the connection: the text says who should."""


def end_orders(
    place: Place, request: types.Kill, say: Say = lambda text: None, *, in_file: bool = True
) -> types.KillReport:
    """Have the orders ended by the owner; where it gives no answer for 2 s, end it and do its work here.

    The file latch of this state folder stands already. `in_file`: it also says what is to be ended; where a full disk
    did not take that, the request alone does. Answers what is proven, never raises. `say` gets a line for people where
    something out of the ordinary is done.
    """
    try:
        return _ended(place, request, say, in_file)
    except OSError as error:  # a lock that is another user's, a folder that is gone
        return _unproven(request, f"the owner's lock cannot be used ({error.strerror})")


def _ended(place: Place, request: types.Kill, say: Say, in_file: bool) -> types.KillReport:
    until = time.monotonic() + request.wait_s + CONNECT_LIMIT
    while True:
        try:
            return _asked(place, request, in_file)
        except Silent as silent:
            if settings.AUTOTRADER_BROKER_URL:
                return _unproven(request, f"{silent}; run this command on its host")
            say(f"{silent}; taking over its connection")
        try:
            return _taken_over(place, request, in_file)
        except lock.AlreadyOwned as error:  # a supervisor was quicker: its new owner reads the same file
            if time.monotonic() > until:
                return _unproven(request, error.message)
        except BrokerError as error:
            return _unproven(request, error.message)


def _asked(place: Place, request: types.Kill, in_file: bool) -> types.KillReport:
    """The owner's report. Raises Silent where there is no owner, or none that answers."""
    until = time.monotonic() + paced(SILENCE)
    while True:
        try:
            url = settings.AUTOTRADER_BROKER_URL or _url(place)
            report = _call(url, request) if url else _followed(place, request, until, in_file)
        except BrokerUnavailable as error:
            problem = error.message
            if error.reason == WRONG_SECRET and not settings.AUTOTRADER_BROKER_URL:
                return _followed(place, request, until, in_file)
        else:
            return report
        if time.monotonic() > until:
            raise Silent(problem.rstrip("."))
        time.sleep(paced(LOOK_EVERY))


def _url(place: Place) -> str:
    """Where the owner answers, empty where it serves no other process. Raises Silent where nobody owns."""
    holder = lock.read(place.lock_path)
    if holder is None:
        raise Silent("no owner of the connection is running")
    return holder.url


def _call(url: str, request: types.Kill) -> types.KillReport:
    remote = RemoteBroker(url, settings.AUTOTRADER_BROKER_SECRET)
    try:
        report: types.KillReport = remote.call("kill", request)
    finally:
        remote.close()
    return report


def _followed(place: Place, request: types.Kill, until: float, in_file: bool) -> types.KillReport:
    """The report of an owner that cannot be asked but reads the file. Raises Silent where it does not take it up."""
    if not in_file:
        raise Silent("the owner reads only the file, which could not be told what to end")
    patience = time.monotonic() + request.wait_s
    while True:
        found = latches.read(place.state_dir)
        now = time.monotonic()
        if found is None:
            return _unproven(request, "the halt was released meanwhile")
        if not found.is_cancelling or (found.owner and now > patience):
            return report_of(found)
        if not found.owner and now > until:
            raise Silent("the owner does not take the halt up")
        time.sleep(LOOK_EVERY)


def _taken_over(place: Place, request: types.Kill, in_file: bool) -> types.KillReport:
    """Kill who holds the lock, hold it, connect with the owner's client id and cancel. Asks no database.

    Raises AlreadyOwned where another took the lock, BrokerUnavailable where the holder cannot be ended.
    """
    held = _lock_by_force(place)
    try:
        with suppress(OSError):  # a full disk takes no name; the lock itself is the kernel's
            held.write(lock.holder_of_this_process("", build_id(), system_now(), "halt"))
        return _cancelled(place, request, in_file)
    finally:
        held.release()


def _cancelled(place: Place, request: types.Kill, in_file: bool) -> types.KillReport:
    found = latches.read(place.state_dir) if in_file else _wish(request)
    if found is None or not found.is_cancelling:
        return report_of(found) if found else _unproven(request, "the halt was released meanwhile")
    client = IbClient(
        host=place.host,
        port=place.port,
        client_id=place.client_id,
        paper=place.paper,
        accept_account=account_rule(place),
        # What the broker tells here is told anew to the next owner, which books it.
        sink=lambda event: None,
        on_synced=lambda: None,
        known_contract=lambda con_id: None,
    )
    run = Run(client, found)
    name = f"pid {os.getpid()} (halt)"
    latches.note(place.state_dir, found.run, owner=name, asked_at=system_now())
    client.start()
    try:
        client.wait_connected(paced(CONNECT_LIMIT))
        problem = run_to_end(
            run,
            time.monotonic() + request.wait_s,
            lambda: latches.note(place.state_dir, found.run, **progress_of(run)),
        )
    finally:
        client.stop()
    if not problem:
        latches.note(place.state_dir, found.run, **progress_of(run), **end_of_run())
    now = latches.read(place.state_dir)
    if now is None and in_file:
        return _unproven(request, "the halt was released meanwhile")
    # Not by the file: a disk that is full has taken no progress since.
    ended_at = None if problem else system_now()
    told = replace(found, asked=run.asked, confirmed=run.confirmed, working=run.working, kept=run.kept)
    return report_of(replace(told, owner=name, cancelled_at=ended_at), problem)


def _wish(request: types.Kill) -> latches.Latch:
    """What no file says."""
    return latches.Latch(request.state, request.actor, request.reason, cancel=request.cancel, run=request.run)


def _lock_by_force(place: Place) -> lock.HeldLock:
    try:
        return lock.take(place.lock_path)
    except lock.AlreadyOwned as error:
        if error.holder is None:
            raise
        _end(error.holder, place.lock_path)
    until = time.monotonic() + DEATH_LIMIT
    while True:
        try:
            return lock.take(place.lock_path)
        except lock.AlreadyOwned:
            if time.monotonic() > until:
                raise


def _end(holder: lock.Holder, path: Path) -> None:
    """SIGKILL the holder, if that pid is still the process which has the lock open. Raises BrokerUnavailable."""
    try:
        handle = os.pidfd_open(holder.pid)
    except ProcessLookupError:
        return
    try:
        if not has_open(holder.pid, path):
            raise BrokerUnavailable(f"Pid {holder.pid} in {path.name} is another process by now; nothing was killed.")
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except PermissionError as error:
        raise BrokerUnavailable(f"This user may not end the owner, pid {holder.pid}.") from error
    finally:
        os.close(handle)


def has_open(pid: int, path: Path) -> bool:
    """True where the process has the file open, as only its holder and a momentary reader have."""
    wanted = path.stat()
    folder = Path(f"/proc/{pid}/fd")
    return folder.is_dir() and any(_is_same(entry, wanted) for entry in folder.iterdir())


def _is_same(entry: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(entry.stat(), wanted)
    except FileNotFoundError:  # closed since it was listed
        return False


def _unproven(request: types.Kill, problem: str) -> types.KillReport:
    done = not request.cancel
    return types.KillReport(request.run, request.cancel, "", 0, 0, (), (), done=done, problem="" if done else problem)
