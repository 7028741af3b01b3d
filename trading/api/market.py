"""Market data over REST: quotes and bars, live from the broker; a contract is found by its symbol or its id."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import numpy as np
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.rest.serializers import Body
from autotrader.core.rest.views import Endpoint
from broker import types
from broker.errors import BrokerError, BrokerUnavailable, ContractNotFound, MarketDataError
from broker.port import Broker
from trading.api.live import market, plain, shallow

PERMISSION = "trading.view_instrument"
MOST_QUOTES = 50
LARGEST_ID = 2**31 - 1
SYMBOL = r"^[A-Z0-9][A-Z0-9. ]{0,19}$"
SYMBOLS = r"^[A-Z0-9][A-Z0-9. ]{0,19}(,[A-Z0-9][A-Z0-9. ]{0,19}){0,49}$"
IN_CAPITALS: Any = {"invalid": "Write symbols as the broker does, in capitals."}
SEC_TYPES = ("STK", "ETF", "CASH", "IND", "CRYPTO")
ERRORS = (BrokerError, BrokerUnavailable, ContractNotFound, MarketDataError)
Number = float | None


class ContractParameters(Body):
    """How one contract is named: by `symbol`, with its type, venue and currency, or by `con_id`."""

    symbol = serializers.RegexField(SYMBOL, required=False, error_messages=IN_CAPITALS, help_text="As in AAPL.")
    con_id = serializers.IntegerField(
        required=False, min_value=1, max_value=LARGEST_ID, help_text="The broker's id, instead of a symbol."
    )
    sec_type = serializers.ChoiceField(SEC_TYPES, default="STK", help_text="Futures and options: by con_id.")
    exchange = serializers.RegexField(r"^[A-Z0-9.]{1,20}$", default="SMART")
    currency = serializers.RegexField(r"^[A-Z]{3}$", default="USD")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one of the two names."""
        if ("symbol" in attrs) == ("con_id" in attrs):
            raise serializers.ValidationError({"symbol": "Give a symbol or a con_id, and not both."})
        return attrs


class SymbolsParameters(Body):
    """Several contracts of one type, venue and currency."""

    symbols = serializers.RegexField(
        SYMBOLS, max_length=1100, error_messages=IN_CAPITALS, help_text=f"Up to {MOST_QUOTES}, as in AAPL,IBM."
    )
    sec_type = serializers.ChoiceField(SEC_TYPES, default="STK")
    exchange = serializers.RegexField(r"^[A-Z0-9.]{1,20}$", default="SMART")
    currency = serializers.RegexField(r"^[A-Z]{3}$", default="USD")


class BarsParameters(ContractParameters):
    """A contract and a range of its bars."""

    period = serializers.CharField(
        max_length=20, default="1 Y", help_text="How far back: a number and one of S D W M Y, as in `6 M`."
    )
    bar = serializers.CharField(max_length=20, default="1 day", help_text="The size, as in `5 mins` or `1 day`.")
    rth = serializers.BooleanField(default=True, help_text="Regular trading hours only.")
    what = serializers.ChoiceField(get_args(types.WhatToShow), default="TRADES")
    end = serializers.DateTimeField(
        required=False, default_timezone=UTC, help_text="Where the range ends; up to now where it is left out."
    )


@dataclass(frozen=True, slots=True)
class LiveQuote(types.Quote):
    """The top of book; null, never 0 or −1, for what the broker has not sent. `time` is the market's.

    `age_s`: seconds from `time` to now by the market's clock. `feed`: live, delayed (by 15 to 20 minutes) or frozen
    (the last before the market closed). `received_at`: the system's time of the last tick of a stream.
    """

    sec_type: str = ""
    currency: str = ""
    age_s: Number = None
    source: Literal["live"] = "live"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, `time` its start in UTC (of daily and larger bars midnight of the session's date).

    Prices in the contract's currency; null where the broker's number is none. `volume` in shares or contracts.
    """

    time: datetime
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number


@dataclass(frozen=True, slots=True)
class LiveBars:
    """Bars oldest first, and where they come from: `provider` gave them at `as_of` by the market's clock.

    `age_s`: seconds from the start of the newest bar to `as_of`.
    """

    con_id: int
    symbol: str
    sec_type: str
    currency: str
    bar: str
    period: str
    what: types.WhatToShow
    rth: bool
    provider: str
    as_of: datetime
    age_s: Number
    count: int
    bars: tuple[Bar, ...]
    source: Literal["live"] = "live"


class QuoteEndpoint(Endpoint):
    """GET: the quote of one contract, a fresh snapshot."""

    permissions = {"GET": PERMISSION}
    query = ContractParameters
    answers = {"GET": LiveQuote}
    errors = ERRORS

    def get(self, request: Request) -> Response:
        asked = self.asked(request)
        with market() as broker:
            contract = contract_of(asked, broker)
            quote = broker.quote(types.ConId(contract.con_id))
            return Response(plain(_told(quote, contract, broker.status().market_now)))


class QuotesEndpoint(Endpoint):
    """GET: the quotes of up to 50 contracts in the order asked for, from shared streams; all of them, or an error."""

    permissions = {"GET": PERMISSION}
    query = SymbolsParameters
    answers = {"GET": LiveQuote}
    errors = ERRORS
    many = True

    def get(self, request: Request) -> Response:
        asked = self.asked(request)
        with market() as broker:
            contracts = [contract_of({**asked, "symbol": name}, broker) for name in asked["symbols"].split(",")]
            quotes = broker.quotes(types.ConIds(tuple(contract.con_id for contract in contracts)))
            now = broker.status().market_now
            return Response([plain(_told(*pair, now)) for pair in zip(quotes, contracts, strict=True)])


class HistoricalEndpoint(Endpoint):
    """GET: bars of one contract, as the broker gives them now."""

    permissions = {"GET": PERMISSION}
    query = BarsParameters
    answers = {"GET": LiveBars}
    errors = ERRORS

    def get(self, request: Request) -> Response:
        asked = self.asked(request)
        with market() as broker:
            contract = contract_of(asked, broker)
            wanted = types.BarsQuery(
                contract.con_id, asked["bar"], asked["period"], asked["rth"], asked["what"], asked.get("end")
            )
            return Response(bars_document(broker.bars(wanted), contract, wanted))


def contract_of(asked: dict[str, Any], broker: Broker) -> types.Contract:
    """The one contract that is named. Raises ContractNotFound, whose details then say which symbol it was."""
    if "con_id" in asked:
        query = types.ContractQuery("", con_id=asked["con_id"])
    else:
        query = types.ContractQuery(asked["symbol"], asked["sec_type"], asked["exchange"], asked["currency"])
    try:
        return broker.contracts(query)[0]
    except ContractNotFound as error:
        error.details.setdefault("symbol", asked.get("symbol", ""))
        raise


def _told(quote: types.Quote, contract: types.Contract, market_now: datetime) -> LiveQuote:
    age = max((market_now - quote.time).total_seconds(), 0.0)
    return LiveQuote(**shallow(quote), sec_type=contract.sec_type, currency=contract.currency, age_s=round(age, 3))


def bars_document(bars: types.Bars, contract: types.Contract, wanted: types.BarsQuery) -> dict[str, Any]:
    """LiveBars as a dictionary: a long range is many rows, and an object for each would double the time it takes."""
    rows = list(_rows(bars))
    newest = bars.time[-1].astype("datetime64[s]").astype(datetime).replace(tzinfo=UTC) if rows else None
    return {
        "con_id": bars.con_id,
        "symbol": bars.symbol,
        "sec_type": contract.sec_type,
        "currency": contract.currency,
        "bar": bars.bar_size,
        "period": bars.period,
        "what": wanted.what,
        "rth": wanted.use_rth,
        "provider": bars.source,
        "as_of": bars.as_of,
        "age_s": None if newest is None else round((bars.as_of - newest).total_seconds(), 3),
        "count": len(rows),
        "bars": rows,
        "source": "live",
    }


def _rows(bars: types.Bars) -> Iterator[dict[str, Any]]:
    times = np.datetime_as_string(bars.time.astype("datetime64[s]"), unit="s").tolist()
    columns = [getattr(bars, name).tolist() for name in ("open", "high", "low", "close", "volume")]
    for at, *numbers in zip(times, *columns, strict=True):
        sound = (number if math.isfinite(number) else None for number in numbers)
        yield dict(zip(("time", "open", "high", "low", "close", "volume"), (f"{at}Z", *sound), strict=True))
