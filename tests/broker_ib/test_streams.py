"""Shared quote streams through a real socket: one line a contract, made again after outages, honest when silent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from broker import types
from broker.errors import BrokerUnavailable, MarketDataError
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import CLOSE, HOUR, TIMEOUT, Desk, frames
from tests.support import eventually, in_threads

MakeDesk = Callable[..., Desk]


def quotes(desk: Desk, *contracts: types.Contract, timeout: float = TIMEOUT) -> tuple[types.Quote, ...]:
    query = types.ConIds(tuple(contract.con_id for contract in contracts))
    answer: tuple[types.Quote, ...] = desk.client.read("quotes", query, timeout, contracts)
    return answer


def lines(desk: Desk) -> int:
    return desk.client.lines.market_data


def asked(gateway: EmbeddedGateway, name: str = "reqMktData") -> int:
    return frames(gateway).get(name, 0)


@pytest.fixture
def few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that allows two lines."""
    monkeypatch.setattr("broker.ib.data.LINES", 2)


@pytest.fixture
def without_ticks(desk: Desk, gateway: EmbeddedGateway) -> Iterator[Desk]:
    """A gateway that accepts streams and says nothing."""
    desk.contract()
    gateway.fault("drop", kinds=("ticks",))
    yield desk
    gateway.heal()


def test_many_callers_share_one_line(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    answers = in_threads([lambda: quotes(desk, contract)] * 8, threads=8)
    assert asked(gateway) == 1
    assert lines(desk) == 1
    for (quote,) in answers:
        assert quote == answers[0][0]
        assert quote.bid is not None
        assert quote.ask is not None
        assert quote.feed == "live"
        assert quote.received_at is not None


def test_quotes_come_in_the_order_asked(desk: Desk) -> None:
    found = [desk.contract(symbol) for symbol in ("IBM", "AAPL", "SPY")]
    assert [quote.symbol for quote in quotes(desk, *found)] == ["IBM", "AAPL", "SPY"]
    assert quotes(desk) == ()


def test_a_line_follows_the_market(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    (before,) = quotes(desk, contract)
    gateway.advance(CLOSE + HOUR)
    desk.client.fence(TIMEOUT)
    (after,) = quotes(desk, contract)
    assert after.last != before.last
    assert after.time - before.time > timedelta(minutes=30)
    assert asked(gateway) == 1


def test_a_line_is_made_again_on_a_new_connection(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    quotes(desk, contract)
    gateway.fault("reset")
    gateway.heal()
    assert eventually(lambda: asked(gateway) == 2, timeout=TIMEOUT)
    assert eventually(lambda: desk.client.state().synced, timeout=TIMEOUT)
    assert quotes(desk, contract)[0].bid is not None
    assert asked(gateway) == 2


@pytest.mark.parametrize("code", [1101, 1102])
def test_a_line_is_made_again_after_an_outage(desk: Desk, gateway: EmbeddedGateway, code: int) -> None:
    contract = desk.contract()
    quotes(desk, contract)
    gateway.fault("connectivity", restore=code)
    assert eventually(lambda: not desk.client.state().synced)
    with pytest.raises(BrokerUnavailable):
        quotes(desk, contract)
    gateway.heal()
    assert eventually(lambda: desk.client.state().synced, timeout=TIMEOUT)
    assert eventually(lambda: asked(gateway) == 2)
    assert asked(gateway, "cancelMktData") == 1
    assert quotes(desk, contract)[0].bid is not None


def test_a_competing_session_is_told_and_its_end_found_out(
    desk: Desk, gateway: EmbeddedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.ib.streams.ASK_AGAIN", 0.3)
    contract = desk.contract()
    quotes(desk, contract)
    gateway.fault("competing")
    gateway.advance(CLOSE + HOUR)

    def refusal() -> MarketDataError | None:
        try:
            quotes(desk, contract)
        except MarketDataError as error:
            return error
        return None

    told = eventually(refusal)
    assert told is not None
    assert told.reason == "COMPETING_SESSION"
    assert told.details == {"broker_code": 10197, "con_id": contract.con_id, "con_ids": [contract.con_id]}
    gateway.heal()
    assert eventually(lambda: refusal() is None, timeout=TIMEOUT)


@pytest.mark.parametrize("code", [354, 10089, 10168, 10186])
@pytest.mark.parametrize("name", ["quote", "quotes"])
def test_delayed_data_are_asked_for_where_live_ones_are_refused(
    desk: Desk, gateway: EmbeddedGateway, name: str, code: int
) -> None:
    contract = desk.contract()
    gateway.fault("refuse", kinds=("reqMktData",), code=code, text="Requested market data is not subscribed.", times=1)
    query = types.ConId(contract.con_id) if name == "quote" else types.ConIds((contract.con_id,))
    assert desk.client.read(name, query, TIMEOUT, [contract])
    assert gateway.frames("reqMarketDataType")[-1][-1] == "3"
    assert asked(gateway) == 2


@pytest.mark.parametrize("name", ["quote", "quotes"])
def test_neither_live_nor_delayed_data_is_an_error(desk: Desk, gateway: EmbeddedGateway, name: str) -> None:
    contract = desk.contract()
    gateway.fault("refuse", kinds=("reqMktData",), code=354, text="Requested market data is not subscribed.")
    query = types.ConId(contract.con_id) if name == "quote" else types.ConIds((contract.con_id,))
    with pytest.raises(MarketDataError) as caught:
        desk.client.read(name, query, TIMEOUT, [contract])
    assert caught.value.reason == "NOT_SUBSCRIBED"
    assert caught.value.details["broker_code"] == 354
    assert lines(desk) == 0
    gateway.heal()
    assert desk.client.read(name, query, TIMEOUT, [contract])


def test_callers_who_wait_together_all_get_delayed_data(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    gateway.fault("refuse", kinds=("reqMktData",), code=354, text="Requested market data is not subscribed.", times=1)
    assert len(in_threads([lambda: quotes(desk, contract)] * 8, threads=8)) == 8
    assert asked(gateway) == 2


def test_the_longest_unused_line_makes_room(few_lines: None, desk: Desk, gateway: EmbeddedGateway) -> None:
    apple, ibm, spy = (desk.contract(symbol) for symbol in ("AAPL", "IBM", "SPY"))
    quotes(desk, apple)
    quotes(desk, ibm)
    quotes(desk, apple)
    quotes(desk, spy)
    assert lines(desk) == 2
    assert asked(gateway, "cancelMktData") == 1
    before = asked(gateway)
    quotes(desk, apple)  # still there; it was IBM's that ended
    assert asked(gateway) == before


def test_more_than_all_lines_at_once_are_refused(few_lines: None, desk: Desk) -> None:
    found = [desk.contract(symbol) for symbol in ("AAPL", "IBM", "SPY")]
    with pytest.raises(MarketDataError) as caught:
        quotes(desk, *found)
    assert (caught.value.reason, caught.value.details["field"]) == ("BAD_REQUEST", "con_ids")


def test_a_line_too_many_is_refused_while_all_are_in_use(
    few_lines: None, without_ticks: Desk, gateway: EmbeddedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.ib.streams.FIRST_ANSWER", TIMEOUT)
    desk = without_ticks
    *two, one_more = (desk.contract(symbol) for symbol in ("AAPL", "IBM", "SPY"))
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(quotes, desk, contract) for contract in two]
        eventually(lambda: lines(desk) == 2)
        with pytest.raises(MarketDataError) as caught:
            quotes(desk, one_more)
        assert caught.value.reason == "TOO_MANY_LINES"
        gateway.fault("reset")
        assert {type(one.exception()) for one in waiting} == {BrokerUnavailable}


def test_a_line_that_nobody_asks_for_ends(
    monkeypatch: pytest.MonkeyPatch, gateway: EmbeddedGateway, make_desk: MakeDesk
) -> None:
    monkeypatch.setattr("broker.ib.data.IDLE", 0.3)
    desk = make_desk(gateway.host, gateway.port)
    desk.client.wait_connected(TIMEOUT)
    quotes(desk, desk.contract())
    assert eventually(lambda: lines(desk) == 0)
    assert eventually(lambda: asked(gateway, "cancelMktData") == 1)


def test_a_silent_line_is_an_error_within_the_call_s_time(without_ticks: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.ib.streams.MARGIN", TIMEOUT - 0.5)
    contract = without_ticks.contract()
    with pytest.raises(MarketDataError):  # not BrokerUnavailable, which is told where the time has passed
        quotes(without_ticks, contract)


def test_who_waits_is_told_at_once_that_the_connection_is_lost(without_ticks: Desk, gateway: EmbeddedGateway) -> None:
    contract = without_ticks.contract()
    begun = time.monotonic()
    gateway.fault("reset", after=0.3)
    with pytest.raises(BrokerUnavailable):
        quotes(without_ticks, contract)
    assert time.monotonic() - begun < TIMEOUT / 2


def test_an_unknown_contract_has_no_line(desk: Desk) -> None:
    unknown = replace(desk.contract(), con_id=999999999, symbol="NOSUCH")
    with pytest.raises(MarketDataError) as caught:
        quotes(desk, unknown)
    assert caught.value.details["broker_code"] == 200
    assert lines(desk) == 0


# What the account may see


def test_delayed_data_are_labelled_and_as_old_as_they_are(make_desk: MakeDesk) -> None:
    with EmbeddedGateway(set_clock=CLOSE, delayed=("AAPL",)) as gateway:
        desk = make_desk(gateway.host, gateway.port)
        desk.client.wait_connected(TIMEOUT)
        contract = desk.contract()
        snapshot = desk.client.read("quote", types.ConId(contract.con_id), TIMEOUT, [contract])
        (streamed,) = quotes(desk, contract)
        for quote in (snapshot, streamed):
            assert quote.feed == "delayed"
            assert quote.bid is not None
            assert CLOSE - quote.time >= timedelta(minutes=15)
        assert quotes(desk, desk.contract("IBM"))[0].feed == "live"


def test_a_line_that_loses_live_data_and_has_them_back_says_so(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    assert quotes(desk, contract)[0].feed == "live"
    for step, feed in enumerate(("delayed", "live", "delayed"), start=1):
        gateway.command("feed", feed=feed, con_id=contract.con_id)
        gateway.advance(CLOSE + step * HOUR)
        desk.client.fence(TIMEOUT)
        (quote,) = quotes(desk, contract)
        assert quote.feed == feed
        assert quote.bid is not None
        assert quote.bid < (quote.ask or 0)


def test_a_contract_without_any_data_is_an_error_until_there_are_some(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    gateway.command("feed", feed="none", con_id=contract.con_id)
    with pytest.raises(MarketDataError) as caught:
        quotes(desk, contract)
    assert caught.value.reason == "NOT_SUBSCRIBED"
    gateway.command("feed", feed="live", con_id=contract.con_id)
    assert quotes(desk, contract)[0].bid is not None


def test_a_halt_is_told(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    assert not quotes(desk, contract)[0].halted
    gateway.command("halt", con_id=contract.con_id, on=True)
    gateway.advance(CLOSE + HOUR)
    desk.client.fence(TIMEOUT)
    assert quotes(desk, contract)[0].halted


def test_an_index_needs_no_bid_and_no_ask(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.ib.streams.FIRST_ANSWER", TIMEOUT)  # so long they would be waited for
    (index,) = desk.client.read("contracts", types.ContractQuery("SPX", "IND"), TIMEOUT)
    begun = time.monotonic()
    (quote,) = quotes(desk, index)
    assert quote.last is not None
    assert time.monotonic() - begun < TIMEOUT / 2
