"""Whatever bytes and fields arrive, the gateway lives on and serves the next client."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.paper_gateway.dispatch import ROUTES
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.wire.framing import frame
from tests.paper_gateway_wire.conftest import START, RawClient

NOW = str(int(START.timestamp()))
NO_CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
WORDS = [
    *("", "0", "1", "-1", "7", "756733", "SPY", "STK", "SMART", "USD", "BAG", "BUY", "SELL", "MKT", "LMT", "STP"),
    *("1 day", "2 Y", "TRADES", "NaN", "Infinity", "1e999", "1.7976931348623157E308", "2147483647", "9" * 40),
    *("PEG BENCH", "DAY", "GTC", "100", "0.01", "20260302 15:00:00 UTC", "DU7654321", "All", "\u2028", "\U0001f4c8"),
]
FIELDS = st.one_of(
    st.sampled_from(WORDS),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(repr),
    st.text(max_size=12).map(lambda text: text.replace("\0", "")),
)
MESSAGES = st.lists(
    st.tuples(
        st.sampled_from([name for name in ROUTES if name != "71"] + ["", "x", "200", "-5"]),
        st.lists(FIELDS, max_size=30),
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module")
def shared() -> Iterator[EmbeddedGateway]:
    """One gateway for all examples."""
    with EmbeddedGateway(set_clock=START, seed=7) as running:
        yield running


def assert_still_serves(gateway: EmbeddedGateway) -> None:
    """A new client with the id of the last one gets in and is answered."""
    with RawClient(gateway.port) as raw:
        raw.start(client_id=3)
        raw.message(49, 1)
        assert raw.until("49")[2] == NOW


def assert_no_surprise(raw: RawClient) -> None:
    """Everything up to the clock's answer came without the gateway being surprised by what it was sent."""
    while (answer := raw.receive()) is not None and answer[:1] != ["49"]:
        assert answer[0] != "4" or "Internal error" not in answer[4], answer
    assert answer is not None


@settings(max_examples=40, deadline=None, suppress_health_check=NO_CHECKS)
@given(data=st.binary(max_size=300), greeted=st.booleans())
def test_random_bytes(shared: EmbeddedGateway, data: bytes, *, greeted: bool) -> None:
    with RawClient(shared.port) as raw:
        if greeted:
            raw.start(client_id=3)
        raw.send(data)
    assert_still_serves(shared)


@settings(max_examples=120, deadline=None, suppress_health_check=NO_CHECKS)
@given(messages=MESSAGES)
def test_random_fields(shared: EmbeddedGateway, messages: list[tuple[str, list[str]]]) -> None:
    with RawClient(shared.port) as raw:
        raw.start(client_id=3)
        for name, fields in messages:
            raw.send(frame("\0".join([name, *fields, ""]).encode(errors="surrogatepass")))
        raw.message(49, 1)
        assert_no_surprise(raw)


@pytest.mark.parametrize("seed", range(3))
def test_mutated_orders(shared: EmbeddedGateway, seed: int) -> None:
    """A sound placeOrder with one field after the other replaced by something else."""
    chance = random.Random(seed)
    pool = [
        "",
        "0",
        "1",
        "-1",
        "x",
        "1e308",
        "NaN",
        "99999999999",
        "SELL",
        "MKT",
        "STP",
        "BAG",
        "1.5",
        "\x1f",
        "é" * 50,
    ]
    sound = sound_order()
    with RawClient(shared.port) as raw:
        raw.start(client_id=3)
        for index in range(2, len(sound)):
            fields = list(sound)
            fields[index] = chance.choice(pool)
            fields[1] = str(1000 * (seed + 1) + index)
            raw.message(*fields)
            raw.message(49, 1)
            assert_no_surprise(raw)


SPY = ["0", "SPY", "STK", "", "0.0", "", "", "SMART", "", "USD", "", ""]
SOUND = {
    "history": ["20", "9", *SPY, "0", "20260227 21:00:00 UTC", "1 day", "5 D", "1", "TRADES", "1", "0", ""],
    "head": ["87", "9", *SPY, "0", "1", "TRADES", "1"],
    "quote": ["1", "11", "9", *SPY, "0", "", "1", "0", ""],
    "details": ["9", "8", "9", *SPY, "0", "", "", ""],
    "executions": ["7", "3", "9", "0", "", "20260227 21:00:00 UTC", "SPY", "STK", "", "BUY"],
    "summary": ["62", "1", "9", "All", "NetLiquidation,$LEDGER:ALL"],
    "profit": ["94", "9", "", "", "756733"],
}


@pytest.mark.parametrize("kind", SOUND)
def test_mutated_requests(shared: EmbeddedGateway, kind: str) -> None:
    """A sound request with every field replaced by every word, and cut off at every length."""
    sound = SOUND[kind]
    with RawClient(shared.port) as raw:
        raw.start(client_id=3)
        for index in range(1, len(sound)):
            for word in WORDS:
                raw.message(*sound[:index], word, *sound[index + 1 :])
            raw.message(*sound[:index])
            raw.message(49, 1)
            assert_no_surprise(raw)


def sound_order() -> list[str]:
    """A plain limit order as version 176 lays it out."""
    fields = ["3", "1", "756733", "SPY", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "", "", ""]
    fields += ["BUY", "10", "LMT", "1.0", "", "DAY", "", "", "O", "0", "ref", "1", "0", "0", "0", "0", "0", "0", "0"]
    fields += [
        "",
        "0.0",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "0",
        "",
        "-1",
        "0",
        "",
        "",
        "0",
        "",
        "",
        "0",
        "0",
        "",
        "0",
        "",
        "",
    ]
    fields += ["", "", "", "0", "", "", "", "", "0", "", "", "", "", "", "", "", "", "", "", "0", "", "", "0", "0", ""]
    fields += ["", "0", "", "0", "0", "0", "0", "", "", "", "", "", "", "0", "", "", "", "", "", "", "", "", "0", "0"]
    return [*fields, "0", "", "", "", "0", "", ""]


def test_the_sound_order_is_sound(gateway: EmbeddedGateway) -> None:
    with RawClient(gateway.port) as raw:
        raw.start(client_id=3)
        raw.message(*sound_order())
        assert raw.until("3")[2] == "Submitted"
