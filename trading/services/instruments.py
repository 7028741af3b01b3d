"""What the broker tells of a contract, kept."""

from __future__ import annotations

from broker import types
from trading.models import Instrument, Session


def instrument_resolved(row: Instrument, contract: types.Contract) -> None:
    """Fill in the broker's id and trading rules; call in the transaction that commits the step."""
    facts = {
        "con_id": contract.con_id,
        "primary_exchange": contract.primary_exchange,
        "name": contract.long_name[:120],
        "tick": contract.min_tick,
        "lot": contract.lot_size,
        "time_zone": contract.time_zone,
        "resolved_at": contract.fetched_at,
    }
    Instrument.objects.filter(pk=row.pk).update(**facts)
    for name, value in facts.items():
        setattr(row, name, value)


def session_note(exchange: str, hours: types.SessionHours) -> None:
    """Keep one regular session of an exchange."""
    Session.objects.get_or_create(exchange=exchange, day=hours.day, open=hours.open, defaults={"close": hours.close})
