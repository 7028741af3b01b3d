"""Contracts, quotes, bars, account and positions through a real socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from broker import types
from broker.errors import ContractNotFound, MarketDataError
from broker.ib.client import Book
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import CLOSE, DAY, TIMEOUT, Desk, frames
from tests.support import REAL_BARS, eventually, in_threads, needs_real_bars


def test_the_connection_knows_its_account_and_clock(desk: Desk, gateway: EmbeddedGateway) -> None:
    state = desk.client.state()
    assert state.connected
    assert state.synced
    assert (state.account, state.accounts) == (gateway.account, (gateway.account,))
    assert state.clock == "set"
    assert state.reason == ""
    assert desk.client.market_now() == CLOSE


def test_the_clock_of_a_running_gateway_is_the_system_s(make_desk: Callable[..., Desk]) -> None:
    with EmbeddedGateway() as gateway:
        desk = make_desk(gateway.host, gateway.port)
        desk.client.wait_connected(TIMEOUT)
        assert desk.client.state().clock == "system"
        before, told, after = datetime.now(UTC), desk.client.market_now(), datetime.now(UTC)
        assert before <= told <= after
        assert desk.client.read("quote", types.ConId(desk.contract().con_id), TIMEOUT, [desk.contract()]).last


def test_a_set_clock_is_believed_from_our_gateway_only(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk]
) -> None:
    desk = make_desk(gateway.host, gateway.port, paper=False)
    desk.client.wait_connected(TIMEOUT)
    assert desk.client.state().clock == "system"
    assert desk.client.market_now() - CLOSE > timedelta(days=365)


def test_market_now_follows_the_gateway(desk: Desk, gateway: EmbeddedGateway) -> None:
    gateway.advance(CLOSE + DAY)
    assert desk.client.market_now() == CLOSE + DAY


def test_a_contract(desk: Desk) -> None:
    contract = desk.contract("SPY")
    assert (contract.symbol, contract.sec_type, contract.exchange, contract.currency) == ("SPY", "STK", "SMART", "USD")
    assert contract.con_id > 0
    assert contract.min_tick == Decimal("0.01")
    assert contract.lot_size == 1
    assert contract.time_zone == "US/Eastern"
    assert contract.liquid_hours
    assert all(hours.open < hours.close for hours in contract.liquid_hours)


@pytest.mark.parametrize("changes", [{"symbol": "NOSUCH"}, {"currency": "CHF"}, {"sec_type": "IND"}])
def test_an_unknown_contract(desk: Desk, changes: dict[str, str]) -> None:
    with pytest.raises(ContractNotFound):
        desk.client.read("contracts", replace(types.ContractQuery("AAPL"), **changes), TIMEOUT)


def test_a_quote(desk: Desk) -> None:
    quote = desk.client.read("quote", types.ConId(desk.contract().con_id), TIMEOUT, [desk.contract()])
    assert quote.bid is not None
    assert quote.ask is not None
    assert quote.last is not None
    assert quote.bid < quote.ask
    assert quote.feed == "live"
    assert quote.time == CLOSE
    assert quote.bid % Decimal("0.01") == 0


@pytest.mark.parametrize(
    ("bar_size", "period", "step"),
    [("1 day", "1 Y", timedelta(days=1)), ("1 hour", "10 D", timedelta(hours=1)), ("1 week", "2 Y", timedelta(days=7))],
)
def test_bars(desk: Desk, bar_size: str, period: str, step: timedelta) -> None:
    contract = desk.contract()
    bars = desk.client.read("bars", types.BarsQuery(contract.con_id, bar_size, period), TIMEOUT, [contract])
    assert (bars.symbol, bars.bar_size, bars.period, bars.source) == ("AAPL", bar_size, period, "paper gateway")
    assert len(bars.time) > 50
    assert {len(column) for column in (bars.open, bars.high, bars.low, bars.close, bars.volume)} == {len(bars.time)}
    assert bars.time.dtype == np.dtype("datetime64[s]")
    assert np.diff(bars.time).min() == np.timedelta64(step)
    assert bars.time[-1] <= np.datetime64(CLOSE.replace(tzinfo=None), "s")
    assert bars.as_of == CLOSE
    assert (bars.low <= bars.high).all()


@needs_real_bars
def test_real_daily_bars_start_at_midnight_utc_of_their_session(make_desk: Callable[..., Desk]) -> None:
    with EmbeddedGateway(set_clock=CLOSE, data_folder=REAL_BARS) as gateway:
        desk = make_desk(gateway.host, gateway.port)
        desk.client.wait_connected(TIMEOUT)
        contract = desk.contract("SPY")
        daily = desk.client.read("bars", types.BarsQuery(contract.con_id, "1 day", "1 M"), TIMEOUT, [contract])
        hourly = desk.client.read("bars", types.BarsQuery(contract.con_id, "1 hour", "5 D"), TIMEOUT, [contract])
    assert daily.time[-1] == np.datetime64("2019-06-03T00:00:00")
    assert daily.time[-2] == np.datetime64("2019-05-31T00:00:00")
    assert np.datetime64("2019-06-03T13:30:00") in hourly.time


def test_market_data_of_an_unknown_contract_is_an_error(desk: Desk) -> None:
    unknown = replace(desk.contract(), con_id=999999999, symbol="NOSUCH")
    with pytest.raises(MarketDataError):
        desk.client.read("bars", types.BarsQuery(unknown.con_id, "1 day", "1 Y"), TIMEOUT, [unknown])
    with pytest.raises(MarketDataError):
        desk.client.read("quote", types.ConId(unknown.con_id), TIMEOUT, [unknown])


def test_an_empty_account(desk: Desk, gateway: EmbeddedGateway) -> None:
    summary = desk.client.read("account", types.Nothing(), TIMEOUT)
    assert (summary.account, summary.currency) == (gateway.account, "USD")
    assert summary.net_liquidation == summary.cash == Decimal(1_000_000)
    assert summary.gross_position_value == 0
    assert desk.client.read("positions", types.Nothing(), TIMEOUT) == ()
    assert desk.client.book(TIMEOUT) == Book((), (), ())


def test_the_account_is_told_once_on_connecting(desk: Desk) -> None:
    assert len(desk.all(types.AccountSummary)) == 1


def test_concurrent_books_share_requests(desk: Desk, gateway: EmbeddedGateway) -> None:
    before = frames(gateway)
    books = in_threads([lambda: desk.client.book(TIMEOUT)] * 2, threads=2)
    asked = frames(gateway)["reqAllOpenOrders"] - before["reqAllOpenOrders"]
    assert books == [Book((), (), ())] * 2
    assert asked <= 2


def test_eight_threads_at_once(desk: Desk) -> None:
    contract = desk.contract()
    query = types.BarsQuery(contract.con_id, "1 day", "1 M")
    client = desk.client
    jobs: list[Callable[[], object]] = [
        lambda: client.read("quote", types.ConId(contract.con_id), TIMEOUT, [contract]),
        lambda: client.read("bars", query, TIMEOUT, [contract]),
        lambda: client.read("account", types.Nothing(), TIMEOUT),
        lambda: client.read("positions", types.Nothing(), TIMEOUT),
        lambda: client.book(TIMEOUT),
        lambda: client.fence(TIMEOUT),
        lambda: client.market_now(),
        lambda: client.read("contracts", types.ContractQuery("IBM"), TIMEOUT),
    ]
    answers = in_threads(jobs * 8, threads=8)
    assert len(answers) == 64
    assert eventually(lambda: client.state().synced)
