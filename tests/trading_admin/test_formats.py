"""How numbers, times and states are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from autotrader.core import formats


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (formats.number, Decimal("1350.000000"), "1,350"),
        (formats.number, Decimal("0.100000"), "0.1"),
        (formats.number, Decimal("1000000"), "1,000,000"),
        (formats.number, None, "–"),
        (formats.number, float("nan"), "NaN"),
        (formats.price, Decimal("393.450000"), "393.45"),
        (formats.price, Decimal("393"), "393.00"),
        (formats.price, Decimal("0.012300"), "0.0123"),
        (formats.price, None, "–"),
        (formats.money, Decimal("-1234.5678"), "-1,234.57"),
        (formats.percent, Decimal("0.105100"), "10.51\N{NO-BREAK SPACE}%"),
        (formats.percent, 0.5, "50.00\N{NO-BREAK SPACE}%"),
        (formats.signed, Decimal("5"), "+5.00"),
        (formats.signed, Decimal("-5"), "-5.00"),
        (formats.duration, 69, "69 ms"),
        (formats.duration, 12_345, "12.3 s"),
        (formats.figure, "164515.320000000000", "164,515.32"),
        (formats.figure, "0.00010169189857", "0.0001017"),
        (formats.figure, "265598", "265598"),
        (formats.figure, 72.471312, "72.4713"),
        (formats.figure, True, "yes"),
        (formats.figure, ["AAPL", None, 1.5], "AAPL, –, 1.5"),
        (formats.figure, {"max_value": 2}, "max value 2"),
        (formats.figure, "1e999999999.5", "1e999999999.5"),
        (formats.figure, "1.5E+999999", "1.5E+999999"),
        (formats.figure, 1e300, "1E+300"),
        (formats.percent, 1e300, "1.00E+302\N{NO-BREAK SPACE}%"),
        (formats.document, '{"b":1,"a":2}', '{\n  "a": 2,\n  "b": 1\n}'),
        (formats.document, "no JSON", "no JSON"),
    ],
)
def test_values(write: Any, value: Any, text: str) -> None:
    assert write(value) == text


def test_times_are_written_in_utc() -> None:
    at = datetime(2020, 7, 20, 16, 0, tzinfo=timezone(timedelta(hours=-4)))
    assert formats.instant(at) == formats.instant(at.astimezone(UTC))
    assert ">2020-07-20 20:00:00 UTC<" in formats.instant(at)
    assert formats.instant(None) == "–"


def test_a_state_is_a_word_and_escaped() -> None:
    assert formats.badge("PARTIALLY_FILLED") == '<span class="desk-badge desk-busy">PARTIALLY FILLED</span>'
    assert "<b>" not in formats.badge("<b>")
    assert formats.badge("") == "–"
