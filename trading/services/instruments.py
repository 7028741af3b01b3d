"""What the broker tells of a contract, kept."""

from __future__ import annotations

from broker import types
from trading.models import Instrument, Session
from trading.selectors.positions import ONLY_ID


def instrument_of_contract(con_id: int, symbol: str) -> Instrument:
    """The row of a contract that the broker names in an order of somebody else; made when first seen."""
    found = Instrument.objects.filter(con_id=con_id).first()
    if found is None:
        found = Instrument.objects.create(symbol=symbol[:20], sec_type="", exchange=f"{ONLY_ID}{con_id}", con_id=con_id)
    return found


def instrument_resolved(row: Instrument, contract: types.Contract) -> None:
    """Fill in the broker's id and trading rules; call in the transaction that commits the step."""
    placeholder = Instrument.objects.filter(con_id=contract.con_id, exchange__startswith=ONLY_ID).exclude(pk=row.pk)
    placeholder.update(con_id=None)
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
