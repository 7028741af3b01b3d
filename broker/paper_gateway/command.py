"""A gateway as a process: options on the command line, one line when it listens, a clean end on a signal."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from broker.paper_gateway.clock import FASTEST, checked_speed
from broker.paper_gateway.errors import PaperGatewayError, WrongOption
from broker.paper_gateway.faults.base import FaultError
from broker.paper_gateway.running import DEFAULT_CASH, DEFAULT_HOST, DEFAULT_PORT, GatewayOptions, running

MOST_PORT = 65535
EXIT_DONE, EXIT_FAILED, EXIT_WRONG = 0, 1, 2


def add_arguments(parser: argparse.ArgumentParser, *, store: Path | None = None) -> None:
    """The options of a gateway process; `store` is the file used where none is named."""
    parser.add_argument("--host", default=DEFAULT_HOST, help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help="port for TWS API clients, 0 = any free one")
    parser.add_argument("--control", type=_port, help="control port on loopback, 0 = any free one; none by default")
    parser.add_argument("--data", type=Path, help="folder of OHLCV CSV files to replay; else seeded prices")
    keeps = f"SQLite file that keeps account and orders, none = nothing is kept (default {store or 'none'})"
    parser.add_argument("--store", type=_store, default=store, help=keeps)
    parser.add_argument("--seed", type=int, default=1, help="seed of the seeded prices (default %(default)s)")
    parser.add_argument("--set-clock", type=_moment, help="ISO date and time at which the clock stands still")
    parser.add_argument("--start", type=_moment, help="ISO date and time from which a clock of its own runs")
    parser.add_argument("--speed", type=_speed, help="market seconds a second, 0 = stands; default 1")
    parser.add_argument("--hours", choices=("always", "exchange"), default="always", help="when seeded markets trade")
    parser.add_argument("--delayed", type=_symbols, default=(), help="symbols without live data: AAPL,MSFT,…")
    parser.add_argument("--news", type=Path, help="folder of JSON files with news; else made-up news")
    parser.add_argument("--fundamentals", type=Path, help="folder of SYMBOL/report.xml; what it lacks is made up")
    parser.add_argument("--account", help="account id of a new store, such as DU1234567")
    parser.add_argument("--cash", type=_cash, default=DEFAULT_CASH, help="cash of a new account (default %(default)s)")
    parser.add_argument("--fault", action="append", default=[], help="a fault to begin with: name:key=value,…")
    parser.add_argument("--fault-seed", type=int, default=0, help="seed of faults that name none (default %(default)s)")
    parser.add_argument("--pacing", choices=("none", "real"), default="none", help="real = the limits of a real TWS")
    parser.add_argument("--master", type=int, help="client id that hears of the orders of every client")
    parser.add_argument("--exit-with-stdin", action="store_true", help="end when standard input is closed")


def options_from(arguments: argparse.Namespace) -> GatewayOptions:
    """The options that parsed arguments stand for."""
    return GatewayOptions(
        host=arguments.host,
        port=arguments.port,
        control=arguments.control,
        data_folder=arguments.data,
        store_path=arguments.store,
        seed=arguments.seed,
        set_clock=arguments.set_clock,
        account=arguments.account,
        cash=arguments.cash,
        faults=tuple(arguments.fault),
        fault_seed=arguments.fault_seed,
        pacing=arguments.pacing,
        start=arguments.start,
        speed=arguments.speed,
        hours=arguments.hours,
        delayed=arguments.delayed,
        news_folder=arguments.news,
        fundamentals_folder=arguments.fundamentals,
        master_client=arguments.master,
    )


def run(options: GatewayOptions, *, exit_with_stdin: bool) -> int:
    """Serve until SIGTERM, SIGINT or, where asked, the end of standard input; the exit code."""
    try:
        asyncio.run(_serve(options, exit_with_stdin=exit_with_stdin))
    except (WrongOption, FaultError) as error:
        sys.stderr.write(f"paper gateway: {'--fault: ' * isinstance(error, FaultError)}{error}\n")
        return EXIT_WRONG
    except (PaperGatewayError, OSError) as error:
        sys.stderr.write(f"paper gateway: {error}\n")
        return EXIT_FAILED
    return EXIT_DONE


async def _serve(options: GatewayOptions, *, exit_with_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(options) as gateway:
        sys.stdout.write(gateway.announcement() + "\n")
        sys.stdout.flush()
        if exit_with_stdin:
            threading.Thread(target=_watch_stdin, args=(loop, stop), daemon=True).start()
        await stop.wait()


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    # Read by descriptor: a buffered read would hold a lock that the interpreter needs to end.
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stop.set)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MOST_PORT):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a port from 0 to {MOST_PORT}, 0 = any free one")
    return int(text)


def _store(text: str) -> Path | None:
    return None if text == "none" else Path(text)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an ISO date and time") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _speed(text: str) -> float:
    try:
        return checked_speed(float(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a speed from 0 to {FASTEST:.0f}") from error


def _symbols(text: str) -> tuple[str, ...]:
    return tuple(symbol.strip() for symbol in text.split(",") if symbol.strip())


def _cash(text: str) -> Decimal:
    try:
        cash = Decimal(text)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount") from error
    if not cash.is_finite() or cash < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount")
    return cash
