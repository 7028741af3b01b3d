"""Gateways that a command starts for its own length: the embedded one, and a replay's own with a set clock."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from django.conf import settings

from autotrader.core.clock import system_now
from autotrader.core.errors import Invalid
from broker import get_broker
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.exchange import PaperExchange
from broker.paper_gateway.types import ContractFilter, SymbolSpec
from broker.port import Broker

SEARCH_BACK_DAYS = 30
# A day of US/Eastern that is one session ends at 05:00 UTC of the next at the latest.
LATEST_CLOSE_UTC_HOUR = 5


def paper_data() -> Path | None:
    """The folder of bars to replay, if one is set."""
    return Path(settings.AUTOTRADER_PAPER_DATA) if settings.AUTOTRADER_PAPER_DATA else None


def listening(host: str, port: int) -> bool:
    """True where something accepts connections."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class ReplayTimes:
    """When a replay's cycle runs, and where its clock goes once afterwards; aware UTC."""

    cycle_at: datetime
    end: datetime


def session_closes(first: date, days: int, symbols: list[str]) -> list[datetime]:
    """The ends of the sessions that any of the symbols has in the `days` days from `first` on, in order."""
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    exchange = PaperExchange(data_folder=paper_data(), store_path=None, set_clock=start, system_clock=system_now)
    specs = [spec for symbol in symbols for spec in _specs(exchange, symbol)]
    return sorted({hours.close for spec in specs for hours in exchange.sessions(spec.con_id, days) if hours.close})


def replay_times(day: date, symbols: list[str]) -> ReplayTimes:
    """The end of the last session up to `day`, and the end of the next one in the data.

    Raises Invalid where the data hold no such session.
    """
    _refuse_other_gateways()
    if paper_data() is None:
        raise Invalid("--as-of replays bars of your own; set AUTOTRADER_PAPER_DATA to their folder.", code="NO_BARS")
    closes = session_closes(day - timedelta(days=SEARCH_BACK_DAYS), SEARCH_BACK_DAYS * 2, symbols)
    last = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1, hours=LATEST_CLOSE_UTC_HOUR)
    before, after = [at for at in closes if at <= last], [at for at in closes if at > last]
    if not before:
        raise Invalid(f"There are no bars up to {day} in the {SEARCH_BACK_DAYS} days before it.", code="NO_SESSION")
    _refuse_without_bars(before[-1], symbols)
    return ReplayTimes(before[-1], after[0] if after else before[-1])


def _refuse_other_gateways() -> None:
    if settings.AUTOTRADER_BROKER != "paper" or settings.AUTOTRADER_BROKER_URL:
        raise Invalid("--as-of replays on a gateway of its own; it needs AUTOTRADER_BROKER=paper and no broker URL.")


def _refuse_without_bars(at: datetime, symbols: list[str]) -> None:
    """After its last day a replay still projects sessions, for orders to end in; a cycle needs prices of its day."""
    exchange = PaperExchange(data_folder=paper_data(), store_path=None, set_clock=at, system_clock=system_now)
    specs = [spec for symbol in symbols for spec in _specs(exchange, symbol)]
    times = [exchange.quote(spec.con_id).time for spec in specs]
    if specs and max(times) < at - timedelta(days=1):
        raise Invalid(f"The bars end on {max(times):%Y-%m-%d}; choose an earlier day.", code="NO_SESSION")


def _specs(exchange: PaperExchange, symbol: str) -> Sequence[SymbolSpec]:
    return exchange.find(ContractFilter(symbol=symbol, sec_type="STK", exchange="SMART", currency="USD"))


@dataclass(frozen=True, slots=True)
class Replay:
    """A gateway of our own with a set clock, and the desk's connection to it."""

    gateway: EmbeddedGateway
    broker: Broker
    account: str

    def advance(self, to: datetime) -> None:
        """Play the market up to `to`; everything that came of it is in our rows afterwards."""
        # Before as well: an order meets the market only once its frame has arrived.
        self.broker.drain()
        self.gateway.advance(to)
        self.broker.drain()


@contextmanager
def replay(account: str, at: datetime) -> Iterator[Replay]:
    """An empty ledger under `account` whose clock stands at `at`; refused on anything but the embedded gateway."""
    _refuse_other_gateways()
    with (
        EmbeddedGateway(port=0, data_folder=paper_data(), store_path=None, account=account, set_clock=at) as gateway,
        get_broker(host=gateway.host, port=gateway.port, accounts=lambda: [account]) as broker,
    ):
        yield Replay(gateway, broker, account)
