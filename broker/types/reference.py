"""What the broker tells of companies and markets: news, fundamentals, earnings, scans. All text in it is data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal


@dataclass(frozen=True, slots=True)
class NewsProvider:
    """A source of news that the account may read."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class HeadlinesQuery:
    """Headlines of a contract, newest first; `providers` empty = all; times aware, None = open; `limit` ≤ 300."""

    con_id: int
    providers: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Headline:
    """One headline, its metadata prefix taken off; `article_id` and `provider` fetch the text."""

    time: datetime
    provider: str
    article_id: str
    headline: str
    sentiment: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ArticleQuery:
    """One article."""

    provider: str
    article_id: str


@dataclass(frozen=True, slots=True)
class Article:
    """The text of an article as it came: `kind` "html" or "text"; "binary" is base64 of a PDF."""

    provider: str
    article_id: str
    kind: Literal["text", "html", "binary"]
    text: str


@dataclass(frozen=True, slots=True)
class FundamentalsQuery:
    """One report of a company."""

    con_id: int
    report: Literal["ReportSnapshot", "ReportsFinSummary", "ReportsFinStatements", "RESC", "CalendarReport"] = (
        "ReportSnapshot"
    )


@dataclass(frozen=True, slots=True)
class Fundamentals:
    """The report as XML, and what could be read from it: (name, value) pairs such as ("MarketCap", "2900000.0")."""

    con_id: int
    symbol: str
    report: str
    xml: str
    ratios: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class EarningsEvent:
    """An earnings release; `time` is "before open", "after close" or a clock time where it is known."""

    con_id: int
    symbol: str
    day: date
    time: str
    confirmed: bool
    period: str = ""


@dataclass(frozen=True, slots=True)
class ScannerCode:
    """A scan that the broker knows, and the instruments it is for."""

    code: str
    name: str
    instruments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScannerQuery:
    """A scan of the market: `instrument` "STK", `location` "STK.US.MAJOR", `code` "TOP_PERC_GAIN", "MOST_ACTIVE" ..."""

    code: str
    instrument: str = "STK"
    location: str = "STK.US.MAJOR"
    rows: int = 50
    above_price: Decimal | None = None
    below_price: Decimal | None = None
    above_volume: int | None = None
    market_cap_above: Decimal | None = None
    stock_type: Literal["ALL", "CORP", "ETF"] = "ALL"


@dataclass(frozen=True, slots=True)
class ScannerRow:
    """One find, the first has rank 0."""

    rank: int
    con_id: int
    symbol: str
    sec_type: str
    exchange: str
    currency: str
    distance: str
    benchmark: str
    projection: str
