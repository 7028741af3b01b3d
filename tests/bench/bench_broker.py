"""What the owner costs on top of the client library: calls, contracts, and a reconnect with a full book."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import ib_insync

from broker import types
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.universe import Universe
from tests.bench.bench_gateway import Process, gateway
from tests.bench.frame import Measured, against, bench, median_of
from tests.support import ROOT, eventually

# What needs Django is imported by `prepared`.
if TYPE_CHECKING:
    from broker.ib.client import IbClient
    from broker.port import Broker
    from broker.remote import RemoteBroker
    from broker.service.owner import Owner

ROUNDS = 200
RAW_CLIENT, OWN_CLIENT, OTHER_CLIENT = 71, 1, 72
COLD_ROUNDS = 60
OPEN_ORDERS, EXECUTIONS, SYMBOLS = 200, 500, 50
LIMIT = 30.0
FIRST_LIMIT = 120.0  # where a whole book is new, it is booked first


def prepared() -> None:
    """Django, with a database in the bench's own state folder."""
    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    call_command("prepare", stdout=io.StringIO())
    settings.AUTOTRADER_MAY_OWN_BROKER = True


@contextmanager
def market(*options: str) -> Iterator[Process]:
    """A gateway process that keeps its account where an owner of this state folder looks for it."""
    from django.conf import settings

    store = settings.AUTOTRADER_STATE_DIR / "paper.sqlite3"
    with gateway("--store", str(store), *options) as process:
        settings.AUTOTRADER_BROKER_PORT = process.port
        yield process
    store.unlink()


@contextmanager
def raw(process: Process) -> Iterator[ib_insync.IB]:
    """The client library by itself, used as its documentation says."""
    asyncio.set_event_loop(asyncio.new_event_loop())
    ib = ib_insync.IB()
    ib.client.MaxRequests = 0
    ib.connect("127.0.0.1", process.port, RAW_CLIENT, timeout=LIMIT)
    try:
        yield ib
    finally:
        ib.disconnect()


@contextmanager
def owner(**options: Any) -> Iterator[Owner]:
    """An owner in this process, ready."""
    from broker.service.owner import Place, serve

    with serve(Place(**options)) as running:
        assert running.broker.settle(FIRST_LIMIT), running.broker.status()
        yield running


@contextmanager
def client(process: Process, pacing: Any = None) -> Iterator[IbClient]:
    """The adapter alone, without a database."""
    from broker.ib.client import IbClient

    made = IbClient(
        host="127.0.0.1",
        port=process.port,
        client_id=OWN_CLIENT,
        paper=True,
        accept_account=lambda accounts: accounts[0],
        sink=lambda event: None,
        on_synced=lambda: None,
        known_contract=lambda con_id: None,
        pacing=pacing,
    )
    made.start()
    try:
        made.wait_connected(LIMIT)
        yield made
    finally:
        made.stop()


@contextmanager
def remote(process: Process) -> Iterator[RemoteBroker]:
    """The port over HTTP, to an owner in a process of its own."""
    from django.conf import settings

    from broker.front import get_broker

    environment = {**os.environ, "AUTOTRADER_BROKER_PORT": str(process.port)}
    command = [sys.executable, "manage.py", "run_broker"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        while "ready" not in (line := child.stdout.readline()):
            assert line, "the owner ended"
        settings.AUTOTRADER_MAY_OWN_BROKER = False
        try:
            with get_broker() as broker:
                yield broker  # type: ignore[misc]
        finally:
            settings.AUTOTRADER_MAY_OWN_BROKER = True
            child.terminate()


def overhead(ours: Callable[[], object], baseline: Callable[[], object], *, rounds: int) -> Measured:
    """How much longer ours takes, from medians of interleaved rounds."""
    measured = against(ours, baseline, rounds=rounds)
    assert measured.baseline is not None
    return Measured(max(measured.seconds - measured.baseline, 0))


@bench("positions over HTTP, above local", target=0.003)
def remote_call() -> Measured:
    prepared()
    with market() as process, remote(process) as far, owner(client_id=OTHER_CLIENT) as near:
        return overhead(far.positions, near.broker.positions, rounds=ROUNDS)  # type: ignore[attr-defined]


@bench("a cached call, above ib_insync itself", target=0.001)
def cached_call() -> Measured:
    prepared()
    with market() as process, raw(process) as ib, owner() as ours:
        spy = contract(ours.broker)
        theirs = ib.qualifyContracts(ib_insync.Stock("SPY", "SMART", "USD"))[0]
        ib.reqMktData(theirs)
        ib.sleep(1)
        asked = types.ConIds((spy.con_id,))
        return overhead(partial(ours.broker.quotes, asked), partial(ib.ticker, theirs), rounds=ROUNDS)  # type: ignore[attr-defined]


@bench("a contract that is cached", target=0.0002)
def cached_contract() -> Measured:
    prepared()
    with market(), owner() as ours:
        contract(ours.broker)
        return median_of(partial(contract, ours.broker), rounds=ROUNDS)


@bench("a contract that is not, above ib_insync", target=0.0005)
def cold_contract() -> Measured:
    """On loopback, where the step into the connection's thread shows."""
    measured = cold()
    assert measured.baseline is not None
    return Measured(max(measured.seconds - measured.baseline, 0))


@bench("the same against ib_insync, line of 10 ms", target=0.05, faster=1 / 1.2)
def cold_contract_afar() -> Measured:
    """At the distance of a TWS on the same host, which asks its servers."""
    return cold("--fault", "slow:seconds=0.01")


def cold(*options: str) -> Measured:
    """Contracts that nobody knows yet, each with its market rule where that is new."""
    prepared()
    symbols, known = iter(stocks(2 * COLD_ROUNDS + 2)), set[str]()
    with market(*options) as process, raw(process) as ib, client(process) as ours:

        def ask() -> None:
            ours.read("contracts", types.ContractQuery(next(symbols)), LIMIT)

        def ask_raw() -> None:
            (details,) = ib.reqContractDetails(ib_insync.Stock(next(symbols), "SMART", "USD"))
            for rule in {details.marketRuleIds.split(",")[0]} - known:
                known.add(rule)
                ib.reqMarketRule(int(rule))

        return against(ask, ask_raw, rounds=COLD_ROUNDS)


@bench("the first 100 contracts, within the pacing limits", target=6)
def hundred_contracts() -> Measured:
    prepared()
    with market("--pacing", "real") as process, client(process, "real") as ours:
        began = time.perf_counter()
        for symbol in stocks(100):
            ours.read("contracts", types.ContractQuery(symbol), LIMIT)
        seconds = time.perf_counter() - began
        with ControlClient("127.0.0.1", process.control) as control:
            violations = sum(fault["acted"] for fault in control.faults())
        return Measured(seconds if not violations else float("inf"))


@bench("reconnect to ready, 200 orders and 500 executions", target=5)
def reconnect() -> Measured:
    prepared()
    with market() as process, ExitStack() as stack:
        with raw(process) as ib:
            fill_book(ib)
        ours = stack.enter_context(owner())
        ours.broker.drain(LIMIT)
        with ControlClient("127.0.0.1", process.control) as control:
            control.fault("reset", times=1)
        eventually(lambda: not ours.broker.status().connected)
        began = time.perf_counter()
        assert ours.broker.settle(LIMIT)
        seconds = time.perf_counter() - began
        assert len(ours.broker.open_orders()) == OPEN_ORDERS  # type: ignore[attr-defined]
        return Measured(seconds)


def fill_book(ib: ib_insync.IB) -> None:
    """Orders that stay open, and orders that have filled, over many contracts."""
    found = ib.qualifyContracts(*(ib_insync.Stock(symbol, "SMART", "USD") for symbol in stocks(SYMBOLS)))
    for number in range(OPEN_ORDERS):
        ib.placeOrder(found[number % SYMBOLS], ib_insync.LimitOrder("BUY", 1, 1.0, tif="GTC"))
    for number in range(EXECUTIONS):
        ib.placeOrder(found[number % SYMBOLS], ib_insync.MarketOrder("BUY", 1))
    deadline = time.monotonic() + LIMIT
    while len(ib.fills()) < EXECUTIONS and time.monotonic() < deadline:
        ib.sleep(0.05)
    assert len(ib.fills()) == EXECUTIONS, len(ib.fills())


def contract(broker: Broker | Any) -> types.Contract:
    """SPY."""
    found: types.Contract = broker.contracts(types.ContractQuery("SPY"))[0]
    return found


def stocks(count: int) -> list[str]:
    """Symbols of so many stocks, each another."""
    symbols = sorted({spec.symbol for spec in Universe().all() if spec.sec_type == "STK" and spec.currency == "USD"})
    assert len(symbols) >= count, len(symbols)
    return symbols[:count]
