"""Every trade of every ledger anew from fills alone, or only what that would change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from autotrader.core import audit
from autotrader.core.clock import system_now
from trading.models import Account, Fill, Instrument, Strategy, Trade
from trading.services.trades import Ledger, RoundTrip, ledger_trades, ledger_trips, trade_values, trades_rebuild


@dataclass(frozen=True, slots=True)
class Difference:
    """One trade that the fills make otherwise than its row says. `field` is empty where a whole row is too much or
    missing."""

    account: str
    strategy: str
    instrument: str
    opening_exec_id: str
    field: str
    row: str
    fills: str


def ledgers() -> list[Ledger]:
    """Every ledger that has fills or trades."""
    keys = set(Fill.objects.values_list("account_id", "order__strategy_id", "order__instrument_id").distinct())
    keys |= set(Trade.objects.values_list("account_id", "strategy_id", "instrument_id").distinct())
    return [Ledger(*key) for key in sorted(keys, key=lambda key: (key[0], key[1] or 0, key[2]))]


def differences(ledger: Ledger) -> list[Difference]:
    """What a rebuild would change; reads only."""
    trips = {trip.opening.exec_root: trip for trip in ledger_trips(ledger)}
    rows = ledger_trades(ledger)
    found = [_difference(ledger, key, "", "a trade", "none") for key in rows.keys() - trips.keys()]
    found += [_difference(ledger, key, "", "none", "a trade") for key in trips.keys() - rows.keys()]
    for key in sorted(trips.keys() & rows.keys()):
        found += _changed(ledger, rows[key], trips[key])
    return found + _unlinked(ledger, list(trips.values()), rows)


def rebuild(ledger: Ledger, now: datetime | None = None) -> list[Difference]:
    """Make the ledger's rows what its fills say; what was changed."""
    with audit.recording():
        Account.objects.select_for_update(no_key=True).get(pk=ledger.account)
        found = differences(ledger)
        if found:
            trades_rebuild(ledger, market_at=now or system_now())
    return found


def _changed(ledger: Ledger, trade: Trade, trip: RoundTrip) -> list[Difference]:
    values = trade_values(trip)
    return [
        _difference(ledger, trade.opening_exec_id, name, getattr(trade, name), value)
        for name, value in values.items()
        if getattr(trade, name) != value
    ]


def _unlinked(ledger: Ledger, trips: list[RoundTrip], rows: dict[str, Trade]) -> list[Difference]:
    owner = {fill: rows.get(trip.opening.exec_root) for trip in trips for fill in trip.fills}
    return [
        _difference(ledger, fill.exec_root, "trade of the fill", fill.trade_id, trade.pk)
        for fill, trade in owner.items()
        if trade is not None and fill.trade_id != trade.pk
    ]


def _difference(ledger: Ledger, key: str, field: str, row: Any, fills: Any) -> Difference:
    strategy = str(Strategy.objects.get(pk=ledger.strategy)) if ledger.strategy else ""
    instrument = str(Instrument.objects.get(pk=ledger.instrument))
    return Difference(ledger.account, strategy, instrument, key, field, str(row), str(fills))
