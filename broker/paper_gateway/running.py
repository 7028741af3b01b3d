"""A whole gateway from its options: exchange, wire server and control port, until it is told to stop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

from broker.paper_gateway.clock import as_utc
from broker.paper_gateway.control import ControlServer
from broker.paper_gateway.errors import CannotListen, WrongOption
from broker.paper_gateway.exchange import PaperExchange
from broker.paper_gateway.hold import hold
from broker.paper_gateway.prices.calendar import eastern_day
from broker.paper_gateway.prices.seeded_path import LAST_DAY
from broker.paper_gateway.prices.seeded_tape import FIRST_PRICES, within_market
from broker.paper_gateway.prices.shapes import HoursMode
from broker.paper_gateway.reference.library import open_library
from broker.paper_gateway.server import START_SECONDS, PaperGateway
from broker.paper_gateway.types import ContractFilter

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 4102
DEFAULT_CASH = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """What a gateway is made of. Ports: 0 = any free one; control None = no control port; store None = nothing kept.

    `faults` are started with it, as `name:key=value,…`; `pacing` "real" means the limits of a real TWS;
    `start_seconds` is how long a connection may take to start its session. `start` and `speed` (market seconds a
    second) let a running clock go its own way; `hours` "exchange" gives seeded markets the hours of their exchanges;
    `delayed` names symbols whose market data come a quarter of an hour late. `master_client` hears of every client's
    orders. News and reports on companies come from their folders; without one they are made up.
    """

    host: str = DEFAULT_HOST
    port: int = 0
    control: int | None = 0
    data_folder: Path | None = None
    store_path: Path | None = None
    seed: int = 1
    set_clock: datetime | None = None
    account: str | None = None
    cash: Decimal = DEFAULT_CASH
    faults: tuple[str, ...] = ()
    fault_seed: int = 0
    pacing: Literal["none", "real"] = "none"
    start_seconds: float = START_SECONDS
    start: datetime | None = None
    speed: float | None = None
    hours: HoursMode = "always"
    delayed: tuple[str, ...] = ()
    news_folder: Path | None = None
    fundamentals_folder: Path | None = None
    master_client: int | None = None


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway that listens, with its control port if it has one."""

    gateway: PaperGateway
    control: ControlServer | None

    def announcement(self) -> str:
        """One line that says where it listens and for which account."""
        exchange = self.gateway.exchange
        clock = f"set:{exchange.now().isoformat()}" if exchange.clock_is_set else "running"
        control = self.control.port if self.control else "none"
        return (
            f"paper gateway listening host={self.gateway.host} port={self.gateway.port} control={control} "
            f"account={exchange.account} clock={clock}"
        )


def system_clock() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


@asynccontextmanager
async def running(options: GatewayOptions) -> AsyncIterator[RunningGateway]:
    """Open the exchange and listen; closes sockets and the store at the end. Raises StoreHeld for a store in use."""
    with hold(options.store_path) as held:
        exchange = _exchange(options)
        gateway = PaperGateway(
            exchange,
            host=options.host,
            port=options.port,
            fault_seed=options.fault_seed,
            start_seconds=options.start_seconds,
            library=open_library(options.news_folder, options.fundamentals_folder),
            master_client=options.master_client,
        )
        control = None if options.control is None else ControlServer(gateway, port=options.control)
        try:
            _check_delayed(exchange, options.delayed)
            _start_faults(gateway, options)
            await _listen(gateway, "--port")
            if control is not None:
                await _listen(control, "--control")
            if held is not None:
                held.announce(gateway.host, gateway.port)
            yield RunningGateway(gateway, control)
        finally:
            if control is not None:
                await control.stop()
            await gateway.stop()
            exchange.close()


async def _listen(server: PaperGateway | ControlServer, option: str) -> None:
    try:
        await server.start()
    except OSError as error:
        raise CannotListen(option, server.host, server.port, error) from error


def _check_delayed(exchange: PaperExchange, symbols: tuple[str, ...]) -> None:
    unknown = [symbol for symbol in symbols if not exchange.find(ContractFilter(symbol=symbol.strip().upper()))]
    if unknown:
        raise WrongOption(f"--delayed: there is no contract with the symbol {', '.join(unknown)[:80]}")


def _start_faults(gateway: PaperGateway, options: GatewayOptions) -> None:
    for text in options.faults:
        gateway.faults.start_text(text)
    if options.pacing == "real":
        gateway.faults.start("pacing", {})


def _check_moments(options: GatewayOptions) -> None:
    """The seeded market has prices of some years only; files say themselves how far they go."""
    for name, moment in (("--start", options.start), ("--set-clock", options.set_clock)):
        if options.data_folder is not None or moment is None:
            continue
        day = eastern_day(as_utc(moment))
        if not within_market(day):
            raise WrongOption(
                f"{name}: prices begin on {FIRST_PRICES} and end on {LAST_DAY}, US/Eastern; none on {day}"
            )


def _exchange(options: GatewayOptions) -> PaperExchange:
    _check_moments(options)
    return PaperExchange(
        data_folder=options.data_folder,
        store_path=options.store_path,
        account=options.account,
        seed=options.seed,
        set_clock=options.set_clock,
        cash=options.cash,
        system_clock=system_clock,
        start=options.start,
        speed=options.speed,
        hours=options.hours,
        delayed=options.delayed,
    )
