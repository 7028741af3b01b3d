"""One client sends damaged frames of every kind; what another one sends, is answered and owns stays right meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.paper_gateway.dispatch import ROUTES
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.wire.framing import frame
from tests.paper_gateway_wire.conftest import START, RawClient
from tests.paper_gateway_wire.raw_client import encode
from tests.paper_gateway_wire.recorded import recorded
from tests.paper_gateway_wire.test_fuzz import FIELDS, NO_CHECKS

# startApi ends a session that has begun nothing; reqGlobalCancel is meant to cancel the orders of others too.
LEFT_OUT = {"startApi", "reqGlobalCancel"}
NOT_OF_THE_LIBRARY = {"cancelWshEventData", "reqWshEventData", "verifyAndAuthMessage", "verifyAndAuthRequest"}
NOT_OF_THE_LIBRARY |= {"verifyMessage", "verifyRequest"}
SLOW = settings(max_examples=25, deadline=None, suppress_health_check=NO_CHECKS)


@dataclass
class Behaved:
    """A client that places an order and cancels it, again and again, and believes nothing else."""

    raw: RawClient
    done: set[int] = field(default_factory=set)

    def begin(self) -> int:
        """Send an order; its id."""
        return self.raw.order("BUY", 7, limit=1.0)

    def assert_served(self, order_id: int) -> None:
        """See exactly that order acknowledged, cancelled, and nothing of anybody else's."""
        assert self.raw.until("5", "3", "4", "11")[:2] == ["5", str(order_id)]
        assert self.raw.until("5", "3", "4", "11")[:3] == ["3", str(order_id), "Submitted"]
        self.raw.message(4, 1, order_id, "")
        assert self.raw.until("5", "4", "11")[:2] == ["5", str(order_id)]
        assert self.raw.until("3", "11")[:3] == ["3", str(order_id), "Cancelled"]
        assert self.raw.until("4", "11")[2:4] == [str(order_id), "202"]
        self.done.add(order_id)
        self.raw.message(58, 1)  # the damaged orders that were sound enough hold no margin against the next one


@pytest.fixture(scope="module")
def shared() -> Iterator[EmbeddedGateway]:
    """One gateway for all examples."""
    with EmbeddedGateway(set_clock=START, seed=7, account="DU7654321") as running:
        yield running


@pytest.fixture(scope="module")
def sound(shared: EmbeddedGateway) -> list[list[str]]:
    """Sound requests of every kind that the library can send."""
    by_name = asyncio.run(recorded(shared))
    kinds = {route.name for route in ROUTES.values()} - LEFT_OUT - NOT_OF_THE_LIBRARY
    assert kinds <= set(by_name)
    return [fields for name in sorted(kinds) for fields in by_name[name]]


@pytest.fixture(scope="module")
def behaved(shared: EmbeddedGateway, sound: list[list[str]]) -> Iterator[Behaved]:
    """The client beside; in the end the exchange has all of its orders, cancelled, and no other of its id."""
    with RawClient(shared.port) as raw:
        client = Behaved(raw.start(client_id=50))
        yield client
        mine = [order for order in shared.truth()["orders"].values() if order["client_id"] == 50]
        assert {order["order_id"] for order in mine} == client.done
        assert {order["status"] for order in mine} == {"Cancelled"}


def assert_all_answered(raw: RawClient) -> None:
    """Up to the clock's answer nothing came that the gateway was surprised by."""
    raw.message(49, 1)
    while (answer := raw.receive()) is not None and answer[:1] != ["49"]:
        assert answer[0] != "4" or "Internal error" not in answer[4], answer
    assert answer is not None


@SLOW
@given(fields=st.lists(FIELDS, max_size=40))
def test_every_reader_takes_any_fields(shared: EmbeddedGateway, behaved: Behaved, fields: list[str]) -> None:
    order_id = behaved.begin()
    with RawClient(shared.port) as raw:
        raw.start(client_id=3)
        kinds = [name for name, route in ROUTES.items() if route.name not in LEFT_OUT]
        raw.send(b"".join(frame("\0".join([kind, *fields, ""]).encode(errors="surrogatepass")) for kind in kinds))
        assert_all_answered(raw)
    behaved.assert_served(order_id)


@st.composite
def damage(draw: st.DrawFn, count: int) -> list[tuple[int, str, int, str]]:
    """Which of `count` frames, what happens to it, at which field, and the text that comes in."""
    kinds = st.sampled_from(["replace", "remove", "insert", "cut", "double", "swap"])
    places = st.integers(0, 200)
    return draw(st.lists(st.tuples(st.integers(0, count - 1), kinds, places, FIELDS), min_size=1, max_size=25))


def damaged(fields: list[str], kind: str, place: int, text: str) -> list[str]:
    """A copy of the fields with one thing wrong; the message id stays."""
    at = 1 + place % max(1, len(fields) - 1)
    match kind:
        case "replace":
            return [*fields[:at], text, *fields[at + 1 :]]
        case "remove":
            return [*fields[:at], *fields[at + 1 :]]
        case "insert":
            return [*fields[:at], text, *fields[at:]]
        case "cut":
            return fields[:at]
        case "double":
            return [*fields, *fields[1:]]
        case _:
            return [fields[0], *fields[at:], *fields[1:at]]


@settings(SLOW, max_examples=50)
@given(data=st.data())
def test_damaged_requests(
    shared: EmbeddedGateway, sound: list[list[str]], behaved: Behaved, data: st.DataObject
) -> None:
    wounds = data.draw(damage(len(sound)))
    version = data.draw(st.sampled_from([157, 163, 169, 176]))
    order_id = behaved.begin()
    with RawClient(shared.port) as raw:
        raw.start(client_id=3, offer=f"v100..{version}")
        for which, kind, place, text in wounds:
            fields = damaged(sound[which], kind, place, text)
            raw.send(frame("\0".join([*fields, ""]).encode(errors="surrogatepass")))
        assert_all_answered(raw)
    behaved.assert_served(order_id)


@SLOW
@given(data=st.data())
def test_damaged_bytes(shared: EmbeddedGateway, sound: list[list[str]], behaved: Behaved, data: st.DataObject) -> None:
    """Bits turned, bytes lost and lengths wrong in a stream of sound frames: at worst this one connection ends."""
    chosen = data.draw(st.lists(st.integers(0, len(sound) - 1), min_size=1, max_size=20))
    stream = bytearray(b"".join(encode(*sound[which]) for which in chosen))
    for place, bit in data.draw(st.lists(st.tuples(st.integers(0, len(stream) - 1), st.integers(0, 8)), max_size=8)):
        if bit == 8:
            stream[place : place + 1] = b""
        elif place < len(stream):
            stream[place] ^= 1 << bit
    order_id = behaved.begin()
    with RawClient(shared.port) as raw, suppress(ConnectionError):
        raw.start(client_id=3)
        raw.send(bytes(stream))
    behaved.assert_served(order_id)


@SLOW
@given(length=st.integers(0, 2**32 - 1), payload=st.binary(max_size=200), greeted=st.booleans())
def test_wrong_lengths(
    shared: EmbeddedGateway, behaved: Behaved, length: int, payload: bytes, *, greeted: bool
) -> None:
    order_id = behaved.begin()
    with RawClient(shared.port) as raw, suppress(ConnectionError):
        if greeted:
            raw.start(client_id=3)
        else:
            raw.send(b"API\0")
        raw.send(length.to_bytes(4, "big") + payload)
    behaved.assert_served(order_id)
