"""Frames at any split, version agreement, and fields that are refused rather than guessed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.paper_gateway.types import GatewayError
from broker.paper_gateway.wire.fields import BadField, FieldReader, decimal_text, integer, number, size, split
from broker.paper_gateway.wire.framing import MAX_FRAME, FrameReader, FrameTooLong, frame
from broker.paper_gateway.wire.times import read_time
from broker.paper_gateway.wire.versions import agree


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_frames_survive_any_split(payloads: list[bytes], steps: list[int]) -> None:
    stream = b"".join(frame(payload) for payload in payloads)
    reader, got, position, turn = FrameReader(), [], 0, 0
    while position < len(stream):
        step = steps[turn % len(steps)]
        reader.feed(stream[position : position + step])
        position, turn = position + step, turn + 1
        while (payload := reader.next()) is not None:
            got.append(payload)
    assert got == payloads


def test_huge_length_is_refused() -> None:
    reader = FrameReader()
    reader.feed((MAX_FRAME + 1).to_bytes(4, "big"))
    with pytest.raises(FrameTooLong):
        reader.next()


@pytest.mark.parametrize(
    ("offer", "version"),
    [
        ("v157..176", 176),
        ("v100..157", 157),
        ("v100..225 +PACEAPI", 176),
        ("v176", 176),
        ("v157..158", 157),
        ("v177..178", None),
        ("v100..156", None),
        ("v170..160", None),
        ("176", None),
        ("", None),
        ("vx..y", None),
    ],
)
def test_version_agreement(offer: str, version: int | None) -> None:
    assert agree(offer) == version


@pytest.mark.parametrize("text", ["1_000", "٣", "NaN", "inf", "0x10", "1e15", "--1", " 1", "1e-99"])
def test_number_refuses(text: str) -> None:
    with pytest.raises(BadField):
        number(text)


@pytest.mark.parametrize("text", ["", "1.7976931348623157E308", "1.7976931348623157e+308", "2147483647"])
def test_number_knows_unset(text: str) -> None:
    assert number(text) is None


def test_numbers_keep_their_digits() -> None:
    assert number("101.005") == Decimal("101.005")
    assert number("-1.5e2") == Decimal(-150)
    assert integer("") == 0
    assert integer("-3") == -3


@pytest.mark.parametrize("text", ["1.0", "4294967296", "one", "1 "])
def test_integer_refuses(text: str) -> None:
    with pytest.raises(BadField):
        integer(text)


def test_reader_reports_the_missing_field() -> None:
    reader = FieldReader(split(b"3\0001\0"))
    assert [reader.integer(), reader.integer()] == [3, 1]
    with pytest.raises(BadField):
        reader.text()


def test_sizes_are_whole_for_old_clients() -> None:
    assert size(Decimal("10.75"), 157) == "10"
    assert size(Decimal("10.75"), 176) == "10.75"
    assert decimal_text(Decimal("1E+3")) == "1000"
    assert decimal_text(Decimal("-0.00")) == "0"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("", None),
        ("20260302 15:00:00 UTC", datetime(2026, 3, 2, 15, tzinfo=UTC)),
        ("20260302-15:00:00", datetime(2026, 3, 2, 15, tzinfo=UTC)),
        ("20260302 10:00:00", datetime(2026, 3, 2, 15, tzinfo=UTC)),
        ("20260302 10:00:00 US/Eastern", datetime(2026, 3, 2, 15, tzinfo=UTC)),
        ("20260302 10:00", datetime(2026, 3, 2, 15, tzinfo=UTC)),
    ],
)
def test_times_are_read_in_their_zone(text: str, moment: datetime | None) -> None:
    assert read_time(text, "US/Eastern") == moment


@pytest.mark.parametrize("text", ["yesterday", "20261302 10:00:00", "20260302 10:00:00 Mars/Base", "20260302 99:00"])
def test_bad_times_are_10314(text: str) -> None:
    with pytest.raises(GatewayError) as refused:
        read_time(text, "US/Eastern")
    assert refused.value.code == 10314
