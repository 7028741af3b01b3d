"""Every code has one class, and each class is acted upon, whichever library decodes the frame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from broker import types
from broker.errors import BrokerUnavailable, MarketDataError
from broker.ib import codes
from broker.ib.codes import Kind, meaning
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import TIMEOUT, Desk, bracket
from tests.broker_ib.proxy import Proxy
from tests.support import eventually

NOW = datetime(2024, 1, 2, tzinfo=UTC)
PUBLISHED = (
    *(
        100,
        101,
        102,
        103,
        104,
        105,
        106,
        107,
        110,
        135,
        161,
        162,
        165,
        200,
        201,
        202,
        203,
        300,
        309,
        317,
        320,
        321,
        322,
    ),
    *(326, 354, 365, 366, 387, 388, 391, 399, 404, 413, 414, 420, 434, 460, *range(501, 510), 1100, 1101, 1102, 1300),
    *(*range(2100, 2111), 2119, 2137, 2157, 2158, 10006, 10089, 10090, 10091, 10147, 10148, 10167, 10168, 10186, 10187),
    *(10189, 10190, 10197, 10225, *range(10241, 10253), 10268, 10269, 10270, 10285, 10314, 10318, 10349),
)


@pytest.fixture
def proxy(gateway: EmbeddedGateway) -> Iterator[Proxy]:
    with Proxy(gateway.host, gateway.port) as made:
        yield made


@pytest.fixture
def proxied(proxy: Proxy, make_desk: Callable[..., Desk]) -> Desk:
    made = make_desk(proxy.host, proxy.port)
    made.wait_synced()
    return made


def _error(proxy: Proxy, request_id: int, code: int, text: str = "told by the test") -> None:
    proxy.inject(4, 2, request_id, code, text, "")


def _status(desk: Desk) -> types.BrokerStatus:
    """The status as the adapter completes it."""
    return desk.client.described(
        types.BrokerStatus(
            ready=True,
            connected=True,
            reason="",
            account="",
            accounts=(),
            clock="set",
            market_now=NOW,
            since=NOW,
            owner="test",
        )
    )


def test_every_published_code_has_a_class() -> None:
    assert [code for code in PUBLISHED if meaning(code, "") is None] == []


def test_a_person_is_always_told_what_to_do() -> None:
    for code, known in codes.TABLE.items():
        assert bool(known.action) == (known.kind is Kind.PERSON), code


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (399, Kind.WARNING),
        (10167, Kind.WARNING),
        (10349, Kind.WARNING),
        (321, Kind.REQUEST),
        (162, Kind.REQUEST),
        (201, Kind.ORDER),
        (202, Kind.ORDER),
        (110, Kind.ORDER),
        (1100, Kind.CONNECTIVITY),
        (2104, Kind.CONNECTIVITY),
        (326, Kind.PERSON),
    ],
)
def test_the_class_of(code: int, kind: Kind) -> None:
    known = meaning(code, "")
    assert known is not None
    assert known.kind is kind


def test_read_only_mode_is_a_matter_for_a_person() -> None:
    known = meaning(321, "Error validating request.-'cA' : cause - The API interface is currently in Read-Only mode.")
    assert known is not None
    assert known.kind is Kind.PERSON
    assert "Read-Only" in known.action


def test_what_counts_as_a_pacing_violation() -> None:
    assert codes.is_pacing_violation(162, "Historical Market Data Service error message:API pacing violation")
    assert not codes.is_pacing_violation(162, "HMDS query returned no data")
    assert codes.is_pacing_violation(100, "")
    assert codes.is_pacing_violation(420, "")


def test_the_farms_are_named_with_their_state() -> None:
    assert codes.farm(2103, "Market data farm connection is broken:usfarm", NOW) == types.Farm(
        "usfarm", "market", "broken", NOW
    )
    assert codes.farm(1100, "lost", NOW) is None


@pytest.mark.parametrize("code", [321, 162, 200, 10197, 460, 99_999])
def test_a_refusal_ends_the_request_that_waits(
    proxied: Desk, proxy: Proxy, gateway: EmbeddedGateway, code: int
) -> None:
    contract = proxied.contract()
    with ControlClient(gateway.host, gateway.control_port) as control:
        before = len(control.frames("reqHeadTimeStamp"))
        proxy.muted = True
        query = types.HeadTimestampQuery(contract.con_id)
        outcome: list[Exception] = []

        def ask() -> None:
            try:
                proxied.client.read("head_timestamp", query, TIMEOUT, [contract])
            except (MarketDataError, BrokerUnavailable) as error:
                outcome.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        frames = eventually(lambda: control.frames("reqHeadTimeStamp")[before:])
        request_id = int(frames[0][1])
        _error(proxy, request_id, 2107, "a warning of any kind ends nothing:ushmds")
        _error(proxy, request_id, code)
        asking.join(TIMEOUT)
        proxy.muted = False
    (error,) = outcome
    assert isinstance(error, MarketDataError)


@pytest.mark.parametrize("code", [399, 110, 321, 202, 10349, 99_999])
def test_whatever_is_said_of_an_order_is_a_message_and_no_status(
    proxied: Desk, proxy: Proxy, gateway: EmbeddedGateway, code: int
) -> None:
    contract = proxied.contract()
    proxied.place(contract, bracket(proxied, contract))
    with ControlClient(gateway.host, gateway.control_port) as control:
        order_id = int(control.frames("placeOrder")[0][1])
    _error(proxy, order_id, code)
    (message,) = eventually(lambda: proxied.all(types.OrderMessage))
    assert (message.order_ref, message.code) == ("G1-E", code)
    proxied.client.fence(TIMEOUT)
    assert proxied.last("G1-E").status == "Submitted"


def test_an_unknown_code_is_counted_and_shown(proxied: Desk, proxy: Proxy) -> None:
    for _ in range(2):
        _error(proxy, -1, 54_321, "nobody knows this")
    eventually(lambda: _status(proxied).unmapped_codes == ("54321 x2",))
    assert proxied.client.state().synced


def test_farms_change_their_state_and_nothing_else(proxied: Desk, proxy: Proxy) -> None:
    known = {(farm.kind, farm.name): farm.state for farm in eventually(lambda: _status(proxied).farms)}
    assert known["market", "usfarm"] == "ok"
    _error(proxy, -1, 2103, "Market data farm connection is broken:usfarm")
    eventually(lambda: {farm.name: farm.state for farm in _status(proxied).farms}["usfarm"] == "broken")
    assert proxied.client.state().synced


def test_an_action_is_shown_and_goes_with_the_connection(proxied: Desk, proxy: Proxy) -> None:
    _error(proxy, -1, 10197, "No market data during competing live session")
    eventually(lambda: "log that one out" in _status(proxied).action)
    assert _status(proxied).phase == "ready"
    proxy.hang_up_after(0)
    eventually(lambda: proxy.connections == 2 and proxied.client.state().synced)
    assert _status(proxied).action == ""


def test_a_broken_server_link_closes_and_a_working_farm_opens_again(proxied: Desk, proxy: Proxy) -> None:
    _error(proxy, -1, 2110, "Connectivity between TWS and server is broken. It will be restored automatically.")
    eventually(lambda: _status(proxied).phase == "broker_lost")
    with pytest.raises(BrokerUnavailable, match="2110"):
        proxied.client.book(TIMEOUT)
    _error(proxy, -1, 2104, "Market data farm connection is OK:usfarm")
    eventually(lambda: _status(proxied).phase == "ready")
    proxied.wait_synced()
    assert len(proxied.syncs) == 2


def test_read_only_mode_needs_a_person(proxied: Desk, proxy: Proxy) -> None:
    _error(proxy, -1, 321, "Error validating request.-'cA' : cause - The API interface is currently in Read-Only mode.")
    eventually(lambda: proxy.connections >= 2)
    eventually(lambda: proxied.client.state().synced)
    assert [report.state for report in proxied.all(types.ConnectionReport)][:2] == ["CONNECTED", "LOST"]


def test_a_changed_port_needs_a_person_though_nothing_listens_any_more(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk]
) -> None:
    with Proxy(gateway.host, gateway.port) as proxy:
        desk = make_desk(proxy.host, proxy.port)
        desk.client.wait_connected(TIMEOUT)
        _error(proxy, -1, 1300, "TWS socket port has been reset and this connection is being dropped.")
        eventually(lambda: "AUTOTRADER_BROKER_PORT" in _status(desk).action)
    eventually(lambda: desk.client.state().refusals >= 2)
    assert _status(desk).phase == "needs_person"
    assert "AUTOTRADER_BROKER_PORT" in _status(desk).action


def test_any_number_of_unknown_codes_takes_little_room(proxied: Desk, proxy: Proxy) -> None:
    proxy.burst(*((4, 2, -1, code, "made up", "") for code in range(30_000, 30_100)))
    eventually(lambda: "others x50" in _status(proxied).unmapped_codes)
    assert len(_status(proxied).unmapped_codes) == 51
