"""Market data: bars, quotes and streams."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
TimeArray = npt.NDArray[np.datetime64]
WhatToShow = Literal[
    "TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK", "ADJUSTED_LAST", "HISTORICAL_VOLATILITY", "OPTION_IMPLIED_VOLATILITY"
]
Feed = Literal["live", "delayed", "frozen"]


@dataclass(frozen=True, slots=True)
class BarsQuery:
    """Historical bars: `period` as in "2 Y", `bar_size` as in "1 day", "1 hour", "5 secs", "1 month".

    `end` None = up to now. A range longer than the broker gives at once is asked for in pieces and joined.
    TRADES of a currency pair, which has none, are its MIDPOINT.
    """

    con_id: int
    bar_size: str
    period: str
    use_rth: bool = True
    what: WhatToShow = "TRADES"
    end: datetime | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """OHLCV arrays of one length, oldest first. `time` is the bar's start, datetime64[s] in UTC (midnight of the
    session's date for daily and larger bars); prices in the contract's currency, volume in shares."""

    con_id: int
    symbol: str
    bar_size: str
    period: str
    time: TimeArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    as_of: datetime
    source: str


@dataclass(frozen=True, slots=True)
class HeadTimestampQuery:
    """Since when the broker has data of a contract."""

    con_id: int
    what: WhatToShow = "TRADES"
    use_rth: bool = True


@dataclass(frozen=True, slots=True)
class HeadTimestamp:
    """The start of the first bar there is."""

    con_id: int
    time: datetime


@dataclass(frozen=True, slots=True)
class RealTimeBarsQuery:
    """Five-second bars of a shared stream that start after `after`; None = all that are kept (the last hour)."""

    con_id: int
    what: Literal["TRADES", "MIDPOINT", "BID", "ASK"] = "TRADES"
    use_rth: bool = False
    after: datetime | None = None


@dataclass(frozen=True, slots=True)
class RealTimeBar:
    """Five seconds from `time` on."""

    con_id: int
    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    wap: Decimal | None
    count: int


@dataclass(frozen=True, slots=True)
class ConIds:
    """Several contracts."""

    con_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """Top of book; None, never 0 or -1, where the broker sent no such number. `time` is the market's time.

    `halted`: the exchange has halted the contract. `received_at`: the system's time of the last tick.
    """

    con_id: int
    symbol: str
    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None
    bid_size: Decimal | None
    ask_size: Decimal | None
    volume: Decimal | None
    close: Decimal | None
    time: datetime
    feed: Feed
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    last_size: Decimal | None = None
    halted: bool = False
    received_at: datetime | None = None
