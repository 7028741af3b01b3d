"""The list of trades with what each came to: its result in money and in R, and how long it was held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from trading.models import Trade
from trading.selectors.history import TRADES, history_count
from trading.selectors.pages.orders import Listed, among, listed, whole
from trading.selectors.trade_costs import COLUMNS, SHARES, fees_pending
from trading.selectors.trade_figures import ClosedTrade, r_multiple

OPEN, AWAITED, NOT_RECKONED, FINAL = "open", "commission awaited", "not reckoned", "final"
LONGEST_ID = 19  # digits: one less than the largest number of a database has
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LOOKUPS = replace(
    TRADES,
    read=(*TRADES.read, *COLUMNS, "instrument__currency", "decision__stop_price", "decision__decided_by"),
)


def trades_listed(asked: Mapping[str, Any], cursor: str) -> Listed:
    """The trades that are asked for, newest first. Raises Invalid for a cursor that is none of this list."""
    found = listed(Trade, LOOKUPS, "trades", asked, cursor)
    return Listed(_all_reckoned(found.rows), found.older)


def trades_among(asked: Mapping[str, Any], keys: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """Those of the trades with these ids that are asked for, newest first, as a list of them shows them.

    One query, and one more for those that have ended: of what is open a list shows no costs, so nobody looks whether
    more are to come.
    """
    ids = [int(key) for key in keys if key.isascii() and key.isdecimal() and len(key) < LONGEST_ID]
    rows = among(Trade, LOOKUPS, asked, {"pk__in": ids})
    ended = [row for row in rows if row["closed_at"] is not None]
    waiting = fees_pending(ended) if ended else {}
    return [_reckoned(row, waiting.get(row["id"], 0)) for row in rows]


def trades_whole(asked: Mapping[str, Any], most: int) -> Iterator[Sequence[Mapping[str, Any]]]:
    """At most `most` of the trades that are asked for, newest first, some hundred at a time."""
    for rows in whole(Trade, LOOKUPS, asked, most):
        yield _all_reckoned(rows)


def trades_count(asked: Mapping[str, Any], most: int) -> int:
    """How many rows `trades_whole` gives."""
    return history_count(Trade.objects.all(), LOOKUPS, asked, most)


def _all_reckoned(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    waiting = fees_pending(rows)
    return [_reckoned(row, waiting.get(row["id"], 0)) for row in rows]


def _reckoned(row: Mapping[str, Any], waiting: int) -> dict[str, Any]:
    """The row with `r`, the result over what was risked, and `held`; None while it is open, R also without a stop.

    `result` says what there is of one: "open", "commission awaited" (`fees_pending` fills), "not reckoned" of anything
    but shares, or "final". `pnl`, `r` and `commission` are those of a final one; `so_far` is what is known before the
    commissions that are awaited.
    """
    result = result_of(row, waiting)
    held = None if row["closed_at"] is None else spell(row["closed_at"] - row["opened_at"])
    told = {**row, "result": result, "fees_pending": waiting, "so_far": row["pnl"], "r": None, "held": held}
    if result != FINAL:
        return told | {"pnl": None, "commission": row["commission"] if result == OPEN and not waiting else None}
    numbers = (row["pnl"], row["commission"], row["quantity"], row["entry_price"], row["decision__stop_price"])
    multiple = r_multiple(ClosedTrade(*numbers))
    return told | {"r": None if multiple is None else round(multiple, 2)}


def result_of(row: Mapping[str, Any], waiting: int) -> str:
    """Whether the trade's result is final, and why not; `waiting` of its fills have no commission yet."""
    if row["state"] != "CLOSED" or row["pnl"] is None:
        return OPEN
    if row["instrument__sec_type"] not in SHARES:
        return NOT_RECKONED
    return AWAITED if waiting else FINAL


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
