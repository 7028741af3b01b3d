"""A market written by the test itself, and an exchange on it that keeps every event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from broker.paper_gateway.exchange import PaperExchange
from broker.paper_gateway.types import (
    EngineEvent,
    Executed,
    Execution,
    OrderChanged,
    OrderRefused,
    OrderTerms,
    OrderView,
)
from broker.paper_gateway.universe import derived_con_id

REAL_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ohlcv"
FIRST_DAY = date(2019, 6, 3)  # a Monday; New York is four hours behind UTC
Row = tuple[Any, Any, Any, Any, Any]


def close_of(day: date) -> datetime:
    """16:00 in New York in summer."""
    return datetime(day.year, day.month, day.day, 20, tzinfo=UTC)


def weekdays(first: date, count: int) -> list[date]:
    days = (first + timedelta(days=ahead) for ahead in range(count * 2))
    return [day for day in days if day.weekday() < 5][:count]


def write_daily(folder: Path, symbol: str, rows: list[Row], first: date = FIRST_DAY) -> None:
    """One row a weekday: open, high, low, close, volume."""
    lines = [
        ",".join([day.isoformat(), *map(str, row)]) for day, row in zip(weekdays(first, len(rows)), rows, strict=True)
    ]
    (folder / f"{symbol}_1d.csv").write_text("\n".join(["date,open,high,low,close,volume", *lines]) + "\n")


class Desk:
    """An exchange and what it said. `day(n)` moves a set clock to the close of the n-th day."""

    def __init__(self, exchange: PaperExchange, symbol: str, con_id: int) -> None:
        self.exchange = exchange
        self.symbol = symbol
        self.con_id = con_id
        self.events: list[EngineEvent] = []
        exchange.listen(self.events.append)

    def order(self, order_id: int, action: str, quantity: int | str, order_type: str, **terms: Any) -> None:
        prices = {name: Decimal(str(terms.pop(name))) for name in ("limit_price", "aux_price") if name in terms}
        values = {"client_id": 1, "con_id": self.con_id, "symbol": self.symbol, **terms}
        self.exchange.submit(
            OrderTerms(
                order_id=order_id,
                action=action,
                quantity=Decimal(quantity),
                order_type=order_type,
                **prices,
                **values,
            )
        )

    def bracket(self, entry: int, *, target: str, stop: str, quantity: int = 100, **terms: Any) -> None:
        """A buy with target (entry + 1) and stop (entry + 2), released by the last leg."""
        self.order(entry, "BUY", quantity, transmit=False, **({"order_type": "MKT"} | terms))
        child = {"parent_id": entry, "tif": "GTC"}
        self.order(entry + 1, "SELL", quantity, "LMT", limit_price=target, transmit=False, **child)
        self.order(entry + 2, "SELL", quantity, "STP", aux_price=stop, **child)

    def day(self, number: int) -> None:
        self.exchange.advance(close_of(weekdays(FIRST_DAY, number + 1)[number]))

    def view(self, order_id: int) -> OrderView:
        """The order as it was last shown."""
        return [e.order for e in self.events if isinstance(e, OrderChanged) and e.order.terms.order_id == order_id][-1]

    def fills(self, order_id: int | None = None) -> list[Execution]:
        fills = [event.execution for event in self.events if isinstance(event, Executed)]
        return [fill for fill in fills if order_id in (None, fill.order_id)]

    def refusals(self, order_id: int) -> list[int]:
        return [e.code for e in self.events if isinstance(e, OrderRefused) and e.order_id == order_id]

    def value(self, key: str, currency: str = "USD") -> str:
        rows = self.exchange.account_values()
        return next(row.value for row in rows if (row.key, row.currency) == (key, currency))


@pytest.fixture
def replay(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Makes a desk on one symbol `XYZ` whose daily rows the test gives; the clock stands at the first close."""
    made: list[PaperExchange] = []

    def make(rows: list[Row], **options: Any) -> Desk:
        folder = tmp_path / f"data{len(made)}"
        folder.mkdir()
        write_daily(folder, "XYZ", rows)
        settings: dict[str, Any] = {"store_path": None, "account": "DU1", "set_clock": close_of(FIRST_DAY)}
        exchange = PaperExchange(data_folder=folder, system_clock=_no_clock, **(settings | options))
        made.append(exchange)
        return Desk(exchange, "XYZ", derived_con_id("XYZ"))

    yield make
    for exchange in made:
        exchange.close()


class RunningTime:
    """A clock that a test moves by hand, for an exchange that believes it runs."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def running() -> Iterator[tuple[Desk, RunningTime]]:
    time = RunningTime(datetime(2026, 3, 4, 15, 0, 5, tzinfo=UTC))
    cash = Decimal(10_000_000)
    exchange = PaperExchange(data_folder=None, store_path=None, account="DU1", cash=cash, system_clock=time)
    yield Desk(exchange, "AAPL", 265598), time
    exchange.close()


def _no_clock() -> datetime:
    raise AssertionError("a set clock must not ask for the time of day")
