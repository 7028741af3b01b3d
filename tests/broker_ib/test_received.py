"""Each live number says when it was received: what the broker sends by itself keeps the time at which it came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from broker import types
from broker.ib import account
from broker.ib.connection import Connection
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import CLOSE, DAY, TIMEOUT, Desk
from tests.broker_ib.proxy import Proxy
from tests.support import eventually

BUY = types.OrderLeg("R1-X", "exit", "BUY", Decimal(3), "MKT", "DAY")
NOTHING = types.Nothing()
ACCOUNT_VALUE, PORTFOLIO, ACCOUNT_TIME, DOWNLOAD_END, RESULT, RESULT_OF_ONE = "6", "7", "8", "54", "94", "95"


@pytest.fixture
def proxy(gateway: EmbeddedGateway) -> Iterator[Proxy]:
    """Between the client and the gateway."""
    with Proxy(gateway.host, gateway.port) as running:
        yield running


@pytest.fixture
def desk(gateway: EmbeddedGateway, proxy: Proxy, make_desk: Callable[..., Desk]) -> Desk:
    """A client that holds three shares."""
    made = make_desk(proxy.host, proxy.port)
    made.client.wait_connected(TIMEOUT)
    made.place(made.contract(), [BUY])
    gateway.advance(CLOSE + DAY)
    made.client.fence(TIMEOUT)
    return made


def now() -> datetime:
    return datetime.now(UTC)


def summary(desk: Desk) -> types.AccountSummary:
    """The account's values as this connection was told them last, as with TWS: they are not asked for anew."""

    async def told(connection: Connection) -> types.AccountSummary:
        return account.summary_of(connection, now())

    return desk.client._ask(told, TIMEOUT)


def test_values_keep_the_time_at_which_they_came(desk: Desk, proxy: Proxy) -> None:
    first = summary(desk)
    assert first.received_at is not None
    assert CLOSE < first.received_at < now(), "the system's time, and not that of a set clock"
    assert first.account_time == "16:00"
    again = summary(desk)
    assert (again.received_at, again.net_liquidation) == (first.received_at, first.net_liquidation)
    assert again.time > first.time
    before = now()
    proxy.inject(ACCOUNT_VALUE, 2, "NetLiquidation", "777.00", "USD", desk.client.state().account)
    eventually(lambda: summary(desk).net_liquidation == 777)
    assert before < (summary(desk).received_at or CLOSE) < now()


def test_a_batch_in_which_nothing_has_changed_renews_all_of_it(desk: Desk, proxy: Proxy) -> None:
    first = summary(desk)
    proxy.inject(ACCOUNT_TIME, 1, "16:03")
    eventually(lambda: summary(desk).account_time == "16:03")
    told = summary(desk)
    assert first.received_at is not None
    assert told.received_at is not None
    assert told.received_at > first.received_at
    assert told.net_liquidation == first.net_liquidation


def test_a_question_for_the_values_renews_them(desk: Desk) -> None:
    before = now()
    told: types.AccountSummary = desk.client.read("account", NOTHING, TIMEOUT)
    assert told.received_at is not None
    assert before < told.received_at <= told.time


def test_a_quantity_is_of_now_and_its_price_as_old_as_it_is(desk: Desk, proxy: Proxy) -> None:
    (first,) = desk.client.read("positions", NOTHING, TIMEOUT)
    before = now()
    (again,) = desk.client.read("positions", NOTHING, TIMEOUT)
    assert before < again.received_at < now()
    assert (again.priced_at, again.market_price) == (first.priced_at, first.market_price)
    assert again.priced_at < before


def test_a_holding_without_a_price_has_no_time_of_one(desk: Desk, gateway: EmbeddedGateway, proxy: Proxy) -> None:
    proxy.dropped = frozenset({PORTFOLIO})
    proxy.hang_up_after(0)
    eventually(lambda: proxy.connections == 2 and desk.client.state().synced)
    (held,) = desk.client.read("positions", NOTHING, TIMEOUT)
    assert (held.market_price, held.priced_at) == (None, None)
    assert held.received_at is not None


def test_results_keep_the_time_at_which_they_came(desk: Desk, proxy: Proxy, gateway: EmbeddedGateway) -> None:
    first: types.ProfitAndLoss = desk.client.read("pnl", NOTHING, TIMEOUT)
    assert first.received_at is not None
    again: types.ProfitAndLoss = desk.client.read("pnl", NOTHING, TIMEOUT)
    assert again.received_at == first.received_at
    assert again.positions[0].received_at == first.positions[0].received_at is not None
    gateway.advance(desk.client.market_now() + DAY)
    eventually(lambda: desk.client.read("pnl", NOTHING, TIMEOUT).received_at > first.received_at)


def test_results_that_were_never_told_have_no_time(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk], proxy: Proxy
) -> None:
    proxy.dropped = frozenset({RESULT})
    desk = make_desk(proxy.host, proxy.port)
    desk.client.wait_connected(TIMEOUT)
    told: types.ProfitAndLoss = desk.client.read("pnl", NOTHING, TIMEOUT)
    assert (told.daily, told.received_at) == (None, None)


def test_a_quote_says_when_its_last_tick_came(desk: Desk) -> None:
    contract = desk.contract()
    before = now()
    for name, request in (("quote", types.ConId(contract.con_id)), ("quotes", types.ConIds((contract.con_id,)))):
        told = desk.client.read(name, request, TIMEOUT, [contract])
        quote = told if name == "quote" else told[0]
        assert before < quote.received_at < now()
