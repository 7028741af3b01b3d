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


def still_serves(gateway: EmbeddedGateway) -> None:
    """A new client with the id of the last one gets in and is answered."""
    with RawClient(gateway.port) as raw:
        raw.start(client_id=3)
        raw.message(49, 1)
        assert raw.until("49")[2] == NOW


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), greeted=st.booleans())
def test_random_bytes(shared: EmbeddedGateway, data: bytes, *, greeted: bool) -> None:
    with RawClient(shared.port) as raw:
        if greeted:
            raw.start(client_id=3)
        raw.send(data)
    still_serves(shared)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=MESSAGES)
def test_random_fields(shared: EmbeddedGateway, messages: list[tuple[str, list[str]]]) -> None:
    with RawClient(shared.port) as raw:
        raw.start(client_id=3)
        for name, fields in messages:
            raw.send(frame("\0".join([name, *fields, ""]).encode(errors="surrogatepass")))
        raw.message(49, 1)
        while (answer := raw.until("49")) and answer[2] != NOW:
            pass


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
            raw.until("49")


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
