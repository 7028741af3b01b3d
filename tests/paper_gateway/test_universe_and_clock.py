"""Contracts have lasting ids, clocks do not go back, and the package stands alone."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from broker.paper_gateway.clock import RunningClock, SetClock
from broker.paper_gateway.errors import UniverseError
from broker.paper_gateway.types import ContractFilter, SymbolSpec
from broker.paper_gateway.universe import LISTED, Universe, derived_con_id

PROJECT = Path(__file__).resolve().parents[2]


def find(universe: Universe, **parts: object) -> list[SymbolSpec]:
    wanted = ContractFilter(**parts)  # type: ignore[arg-type]
    return list(universe.find(wanted, date(2026, 3, 2), lambda con_id: Decimal(500)))


def test_the_listed_set_is_there_with_lasting_ids() -> None:
    universe = Universe(["XYZ", "AAPL"])
    ids = {spec.symbol: spec.con_id for spec in universe.all() if (spec.sec_type, spec.currency) == ("STK", "USD")}
    assert len(ids) == len(LISTED) + 1
    assert (ids["AAPL"], ids["XYZ"], ids["GLD"]) == (265598, derived_con_id("XYZ"), derived_con_id("GLD"))
    assert derived_con_id("XYZ") == 929_902_701
    assert {"SPY", "AAPL", "IBM", "QQQ", "BAC", "MSFT"} <= set(ids)


@pytest.mark.parametrize(
    "wrong",
    [
        {"symbol": "NOPE"},
        {"con_id": 1},
        {"symbol": "AAPL", "sec_type": "WAR"},
        {"symbol": "AAPL", "currency": "EUR"},
        {"symbol": "AAPL", "exchange": "NYSE"},
        {"symbol": "AAPL", "primary_exchange": "NYSE"},
    ],
)
def test_what_does_not_agree_is_not_found(wrong: dict[str, object]) -> None:
    assert find(Universe(), **wrong) == []


def test_a_contract_is_found_by_id_or_by_symbol() -> None:
    universe = Universe()
    by_symbol = find(universe, symbol="aapl", sec_type="STK", exchange="SMART", currency="USD")
    assert by_symbol == find(universe, con_id=265598) == find(universe, symbol="AAPL", primary_exchange="ISLAND")


def test_two_symbols_with_one_id_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.paper_gateway.universe.listings.derived_con_id", lambda symbol: 265598)
    with pytest.raises(UniverseError):
        Universe(["XYZ"])


def test_clocks() -> None:
    at = datetime(2019, 6, 3, 20, tzinfo=UTC)
    clock = SetClock(at)
    clock.move(at)
    with pytest.raises(ValueError, match="does not go back"):
        clock.move(at.replace(hour=19))
    with pytest.raises(ValueError, match="without a zone"):
        SetClock(at.replace(tzinfo=None))
    assert (RunningClock(lambda: at).now(), clock.now()) == (at, at)


def test_the_exchange_loads_neither_django_nor_a_client() -> None:
    code = (
        "import sys, broker.paper_gateway.exchange\n"
        "print([name for name in ('django', 'ib_insync', 'autotrader', 'trading') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
