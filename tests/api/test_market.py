"""Market data over REST against a real gateway: quotes with their age, bars with their provenance, exact refusals."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.test import Client

from autotrader.core.errors import Invalid
from broker import types
from tests.core.keys import bearer, key_of, person
from tests.desk.conftest import Desk, bars_folder, open_desk
from tests.desk.conftest import desk as desk
from trading.api.market import (
    BarsParameters,
    ContractParameters,
    LiveBars,
    LiveQuote,
    SymbolsParameters,
    bars_document,
)

__all__ = ["bars_folder", "desk", "open_desk"]
AT = datetime(2020, 7, 20, 15, 0, tzinfo=UTC)


class Reader:
    """A program that may look at the market, and nothing else."""

    def __init__(self) -> None:
        _, self.text = key_of(person("ann", "trading.view_instrument"), "read")
        self.client = Client()

    def get(self, path: str, **query: str) -> Any:
        return self.client.get(f"/api/market/{path}", query, headers=bearer(self.text))

    def refused(self, path: str, **query: str) -> tuple[int, str, str]:
        """Status, code and the parameter that is meant."""
        answer = self.get(path, **query)
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["details"].get("field", "")


@pytest.fixture
def reader(transactional_db: None) -> Reader:
    return Reader()


def test_quotes_and_bars_come_live_from_the_broker(desk: Desk, reader: Reader) -> None:
    one = reader.get("quote", symbol="RISE")
    assert one.status_code == 200, one.json()
    told = one.json()
    assert (told["symbol"], told["currency"], told["source"], told["feed"]) == ("RISE", "USD", "live", "live")
    assert Decimal(told["bid"]) < Decimal(told["ask"])
    assert told["age_s"] >= 0
    assert set(told) == set(LiveQuote.__dataclass_fields__)
    assert reader.get("quote", con_id=str(told["con_id"])).json()["symbol"] == "RISE"

    several = reader.get("quotes", symbols="FALL,RISE,FALL").json()
    assert [quote["symbol"] for quote in several] == ["FALL", "RISE", "FALL"]

    bars = reader.get("historical", symbol="RISE", period="1 M", bar="1 day").json()
    assert set(bars) == set(LiveBars.__dataclass_fields__)
    assert (bars["count"], bars["provider"], bars["rth"], bars["what"]) == (
        len(bars["bars"]), "paper gateway", True, "TRADES",
    )  # fmt: skip
    times = [bar["time"] for bar in bars["bars"]]
    assert 15 < len(times) == len(set(times))
    assert times == sorted(times)
    earlier = reader.get("historical", symbol="RISE", period="1 W", end=times[5]).json()
    assert earlier["bars"][-1]["time"] <= times[5]

    assert reader.refused("quote", symbol="NOSUCH") == (404, "CONTRACT_NOT_FOUND", "")
    assert reader.get("quotes", symbols="RISE,NOSUCH").json()["error"]["details"]["symbol"] == "NOSUCH"
    assert reader.refused("historical", symbol="RISE", bar="7 mins") == (422, "BAD_REQUEST", "bar")
    assert reader.refused("historical", symbol="RISE", period="1 fortnight") == (422, "BAD_REQUEST", "period")
    assert reader.refused("historical", symbol="RISE", what="ADJUSTED_LAST", end=times[5]) == (
        422, "BAD_REQUEST", "end",
    )  # fmt: skip


def test_without_an_owner_there_is_no_quote_and_the_client_is_told_when_to_ask_again(reader: Reader) -> None:
    answer = reader.get("quote", symbol="AAPL")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "BROKER_UNAVAILABLE")
    assert answer["Retry-After"]


@pytest.mark.parametrize(
    ("kind", "query", "field"),
    [
        (ContractParameters, {}, "symbol"),
        (ContractParameters, {"symbol": "AAPL", "con_id": "5"}, "symbol"),
        (ContractParameters, {"symbol": "aapl"}, "symbol"),
        (ContractParameters, {"symbol": "AAPL\x00"}, "symbol"),
        (ContractParameters, {"symbol": "A" * 21}, "symbol"),
        (ContractParameters, {"con_id": "0"}, "con_id"),
        (ContractParameters, {"con_id": "9" * 30}, "con_id"),
        (ContractParameters, {"symbol": "AAPL", "sec_type": "OPT"}, "sec_type"),
        (ContractParameters, {"symbol": "AAPL", "nosuch": "1"}, "nosuch"),
        (SymbolsParameters, {"symbols": ",".join(["A"] * 51)}, "symbols"),
        (SymbolsParameters, {"symbols": "A,,B"}, "symbols"),
        (BarsParameters, {"symbol": "AAPL", "end": "yesterday"}, "end"),
        (BarsParameters, {"symbol": "AAPL", "rth": "perhaps"}, "rth"),
        (BarsParameters, {"symbol": "AAPL", "what": "LAST"}, "what"),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_name(kind: Any, query: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        kind.read(query)
    assert caught.value.details["field"] == field


def test_what_is_not_told_has_its_usual_value() -> None:
    found = BarsParameters.read({"symbol": "AAPL", "end": "2020-07-20T15:00:00"})
    assert (found["rth"], found["period"], found["bar"], found["exchange"]) == (True, "1 Y", "1 day", "SMART")
    assert found["end"] == AT
    assert len(SymbolsParameters.read({"symbols": ",".join(["A"] * 50)})["symbols"].split(",")) == 50


def test_a_number_that_is_none_is_null() -> None:
    column = np.array([1.5, np.nan])
    time = np.array(["2020-07-17", "2020-07-20"], dtype="datetime64[s]")
    bars = types.Bars(1, "AAPL", "1 day", "2 D", time, column, column, column, column, column, AT, "IBKR")
    contract = types.Contract(
        1, "AAPL", "STK", "SMART", "NASDAQ", "USD", "", Decimal("0.01"), Decimal(1), "US/Eastern", (), AT
    )
    told = bars_document(bars, contract, types.BarsQuery(1, "1 day", "2 D"))
    assert [bar["close"] for bar in told["bars"]] == [1.5, None]
    assert (told["bars"][0]["time"], told["age_s"]) == ("2020-07-17T00:00:00Z", 15 * 3600)
    none = replace(bars, time=time[:0], **dict.fromkeys(("open", "high", "low", "close", "volume"), column[:0]))
    assert bars_document(none, contract, types.BarsQuery(1, "1 day", "2 D"))["age_s"] is None
