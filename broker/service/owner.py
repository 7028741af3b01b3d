"""The owner: the only builder of an IbClient, for as long as it holds the lock."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.conf import settings

from autotrader.core.build import build_id
from autotrader.core.clock import system_now
from autotrader.core.ops.single import running_copy
from broker import gates
from broker.errors import AccountError, TradingDisabled
from broker.ib.client import IbClient
from broker.ib.restart import Schedule
from broker.paper_gateway.store import read_account
from broker.service import lock
from broker.service.contract_cache import ContractCache
from broker.service.halting import Halting
from broker.service.in_flight import InFlight
from broker.service.local import LocalBroker
from broker.service.reconcile import Reconciler, Timing
from broker.service.writer import Writer

STOP_LIMIT = 10.0
Accounts = Callable[[], Collection[str]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an owner connects and keeps its lock; the defaults are the settings'.

    `accounts` answers with the accounts that the connection may name; without it, those of our gateway's own file
    (paper) or of AUTOTRADER_ALLOWED_ACCOUNTS (tws).
    """

    host: str = field(default_factory=lambda: settings.AUTOTRADER_BROKER_HOST)
    port: int = field(default_factory=lambda: settings.AUTOTRADER_BROKER_PORT)
    client_id: int = field(default_factory=lambda: settings.AUTOTRADER_BROKER_CLIENT_ID)
    state_dir: Path = field(default_factory=lambda: settings.AUTOTRADER_STATE_DIR)
    paper: bool = field(default_factory=lambda: settings.AUTOTRADER_BROKER == "paper")
    accounts: Accounts | None = None

    @property
    def lock_path(self) -> Path:
        """The lock of this connection."""
        return lock.lock_path(self.state_dir, self.host, self.port, self.client_id)


def keeper_path(state_dir: Path) -> Path:
    """The lock of the supervisor that keeps the owner of a state folder running."""
    return state_dir / "up.lock"


def refuse_kept(place: Place) -> None:
    """Raises Kept where a living supervisor keeps the owner of this connection and did not start this process."""
    supervisor = running_copy(keeper_path(place.state_dir))
    if supervisor and supervisor.keeps == place.lock_path.name and supervisor.pid != os.getppid():
        raise lock.Kept(supervisor.pid)


class Owner:
    """A running owner: its broker, and its line in the address book."""

    def __init__(self, place: Place, held: lock.HeldLock, broker: LocalBroker, since: datetime) -> None:
        self.place = place
        self.broker = broker
        self._held = held
        self._since = since

    def announce(self, url: str) -> None:
        """Write into the lock where this owner answers; empty where it serves no other process."""
        command = sys.argv[1] if len(sys.argv) > 1 else Path(sys.argv[0]).name
        self._held.write(lock.holder_of_this_process(url, build_id(), self._since, command))


_owners: list[Owner] = []
_owners_lock = threading.Lock()


def owner_here(place: Place | None = None) -> Owner | None:
    """The owner that runs in this process: that of `place`, or the newest where no place is asked for."""
    with _owners_lock:
        found = [owner for owner in _owners if place is None or owner.place.lock_path == place.lock_path]
    return found[-1] if found else None


@contextmanager
def serve(place: Place | None = None, *, timing: Timing | None = None, listens: bool = False) -> Iterator[Owner]:
    """Own the connection for the length of the block. Raises AlreadyOwned where another process does, Kept.

    Begins to connect and returns at once; a broker that is down makes no error here. `listens`: the caller will
    announce where it answers; until then the lock tells of a process that is starting.
    """
    gates.refuse_in_transaction()
    place = place or Place()
    held = lock.take(place.lock_path)
    try:
        refuse_kept(place)
        with _running(place, held, timing or Timing()) as owner:
            if not listens:
                owner.announce("")
            yield owner
    finally:
        held.release()


@contextmanager
def _running(place: Place, held: lock.HeldLock, timing: Timing) -> Iterator[Owner]:
    in_flight, writer = InFlight(), Writer(look_again=lambda: reconciler.wake())
    cache = ContractCache("paper" if place.paper else "tws", later=writer.submit)
    client = IbClient(
        host=place.host,
        port=place.port,
        client_id=place.client_id,
        paper=place.paper,
        accept_account=account_rule(place),
        sink=writer.put,
        on_synced=lambda: reconciler.wake(),
        known_contract=cache.get,
        schedule=Schedule(settings.AUTOTRADER_BROKER_RESTART_AT, settings.AUTOTRADER_BROKER_LOGIN_AT),
    )

    def gate(account: str) -> None:
        gates.check_cancel(account=account, status=broker.status())

    name = f"pid {os.getpid()} on {socket.gethostname()}"
    # A replay has a gateway of its own, and no order there is the desk's to end.
    halting = Halting(client, writer, place.state_dir, name) if place.accounts is None else None

    def may_protect(account: str) -> None:
        gates.check_send(reduces=True, account=account, status=broker.status(), protective=True)
        if gates.halt_reading().cancel == "all":
            raise TradingDisabled("A person has ended all orders, protective ones too.", code="HALTED")

    reconciler = Reconciler(
        client,
        writer,
        in_flight,
        timing=timing,
        gate=gate,
        protect=lambda request: broker.place(request),
        may_protect=may_protect,
    )
    broker = LocalBroker(
        client=client,
        writer=writer,
        reconciler=reconciler,
        in_flight=in_flight,
        cache=cache,
        state_dir=place.state_dir,
        name=name,
        halting=halting,
    )
    owner = Owner(place, held, broker, system_now())
    with _started(writer, halting, client, reconciler), _known(owner):
        yield owner


@contextmanager
def _started(writer: Writer, halting: Halting | None, client: IbClient, reconciler: Reconciler) -> Iterator[None]:
    """What the broker says is written before it says anything, and until it says no more."""
    writer.start()
    if halting is not None:
        halting.start()
    client.start()
    reconciler.start()
    try:
        yield
    finally:
        if halting is not None:
            halting.stop(STOP_LIMIT)
        reconciler.stop(STOP_LIMIT)
        client.stop()
        writer.stop(STOP_LIMIT)


@contextmanager
def _known(owner: Owner) -> Iterator[None]:
    """For the length of the block `owner_here` finds it."""
    with _owners_lock:
        _owners.append(owner)
    try:
        yield
    finally:
        with _owners_lock:
            _owners.remove(owner)


def account_rule(place: Place) -> Callable[[tuple[str, ...]], str]:
    """The account to use, of those that a connection names. Raises AccountError where there is none."""

    def accept(named: tuple[str, ...]) -> str:
        accounts = _accounts(place)
        if accounts is None:
            return _only(named)
        usable = [account for account in accounts if account in named]
        if not usable:
            raise AccountError(_refusal(place, named, accounts))
        return usable[0]

    return accept


def _accounts(place: Place) -> Collection[str] | None:
    if place.accounts is not None:
        return place.accounts()
    if place.paper:
        account = read_account(place.state_dir / "paper.sqlite3")
        return (account,) if account else ()
    return settings.AUTOTRADER_ALLOWED_ACCOUNTS or None


def _only(named: tuple[str, ...]) -> str:
    if len(named) != 1:
        raise AccountError(
            f"The gateway names {len(named)} accounts; say in AUTOTRADER_ALLOWED_ACCOUNTS which of them to use."
        )
    return named[0]


def _refusal(place: Place, named: tuple[str, ...], accounts: Collection[str]) -> str:
    where, names = f"{place.host}:{place.port}", ", ".join(named) or "no account"
    if place.paper and place.accounts is None:
        return f"The gateway at {where} names {names}, which is not in our paper gateway's own file; it is not ours."
    return f"The gateway at {where} names {names}; allowed: {', '.join(accounts) or 'none'}."
