"""The corporate event calendar as JSON: which kinds of events there are, and the earnings dates among them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from ..types import SymbolSpec
from .company import Release, company_of

EARNINGS = "wshe_ed"
_DEFAULT_BACK, _DEFAULT_AHEAD = timedelta(days=365), timedelta(days=200)
_FURTHEST = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events are asked for; None = by default, `limit` 0 = all."""

    specs: tuple[SymbolSpec, ...]
    first: date | None = None
    last: date | None = None
    limit: int = 0


def kinds() -> str:
    """What can be asked for."""
    column = {"tag": EARNINGS, "name": "Earnings Date", "columns": ["earnings_date", "time_of_day", "quarter"]}
    filters = [{"tag": "country", "name": "Country"}, {"tag": "watchlist", "name": "Watchlist"}]
    return json.dumps({"meta_data": {"event_types": [column], "filters": filters}})


def events(query: EventQuery, today: date) -> str:
    """The earnings releases of the contracts, oldest first."""
    first = max(query.first or today - _DEFAULT_BACK, today - _FURTHEST)
    last = min(query.last or today + _DEFAULT_AHEAD, today + _FURTHEST)
    rows = [
        (release, spec)
        for spec in query.specs
        if (company := company_of(spec)) is not None
        for release in company.releases(first, last, today)
    ]
    rows.sort(key=lambda row: (row[0].day, row[1].symbol))
    return json.dumps(list(_listed(rows[: query.limit or None])))


def _listed(rows: Iterable[tuple[Release, SymbolSpec]]) -> Iterable[dict[str, object]]:
    for release, spec in rows:
        yield {
            "event_type": EARNINGS,
            "index_date": f"{release.day:%Y%m%d}",
            "conids": [str(spec.con_id)],
            "tickers": [spec.symbol],
            "data": {
                "earnings_date": f"{release.day:%Y%m%d}",
                "time_of_day": release.time,
                "quarter": release.quarter.number,
                "fiscal_year": release.quarter.year,
                "wshe_earnings_date_status": "CONFIRMED" if release.confirmed else "INFERRED",
                "company_name": spec.long_name,
            },
        }
