"""The list of trades with what each came to: its result in money and in R, and how long it was held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from trading.models import Trade
from trading.selectors.history import TRADES
from trading.selectors.pages.orders import Listed, listed, whole
from trading.selectors.trade_figures import ClosedTrade, r_multiple

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LOOKUPS = replace(
    TRADES,
    read=(*TRADES.read, "instrument__currency", "decision__stop_price", "decision__decided_by"),
)


def trades_listed(asked: Mapping[str, Any], cursor: str) -> Listed:
    """The trades that are asked for, newest first. Raises Invalid for a cursor that is none of this list."""
    found = listed(Trade, LOOKUPS, "trades", asked, cursor)
    return Listed([_reckoned(row) for row in found.rows], found.older)


def trades_whole(asked: Mapping[str, Any], most: int) -> Iterator[Sequence[Mapping[str, Any]]]:
    """At most `most` of the trades that are asked for, newest first, some hundred at a time."""
    for rows in whole(Trade, LOOKUPS, asked, most):
        yield [_reckoned(row) for row in rows]


def _reckoned(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with `r`, the result over what was risked, and `held`; None while it is open, R also without a stop."""
    multiple = None
    if row["state"] == "CLOSED" and row["pnl"] is not None:
        numbers = (row["pnl"], row["commission"], row["quantity"], row["entry_price"], row["decision__stop_price"])
        multiple = r_multiple(ClosedTrade(*numbers))
    held = None if row["closed_at"] is None else spell(row["closed_at"] - row["opened_at"])
    return {**row, "r": None if multiple is None else round(multiple, 2), "held": held}


def spell(length: timedelta) -> str:
    """A length of time in its two largest units."""
    if length < timedelta(minutes=1):
        return f"{length.total_seconds():.0f} s"
    minutes = int(length.total_seconds()) // 60
    if length < HOUR:
        return f"{minutes} min"
    if length < DAY:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{length.days} d {minutes // 60 % 24} h"
