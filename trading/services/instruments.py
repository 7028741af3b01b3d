"""What the broker tells of a contract, kept."""

from __future__ import annotations

from django.db import IntegrityError

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.errors import Conflict, Invalid
from broker import types
from broker.errors import ContractNotFound
from broker.port import Broker
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


def instrument_add(query: types.ContractQuery, *, broker: Broker, actor: str) -> Instrument:
    """Set up the one contract that the broker knows by these words, with its id and trading rules.

    No transaction may be open. Raises Invalid, with the broker's reason, where there is none or more than one, Conflict
    ALREADY_THERE with the row's id where it is set up already, and BrokerUnavailable.
    """
    try:
        contract = broker.contracts(query)[0]
    except ContractNotFound as error:
        fields = {"field": "symbol", "fields": {"symbol": error.message}}
        raise Invalid(f"symbol: {error.message}", code=error.reason, details=error.details | fields) from error
    known = _set_up(query, contract)
    if known is None:
        try:
            return _add(query, contract, actor)
        except IntegrityError:  # another request was faster
            known = _set_up(query, contract)
            if known is None:
                raise
    raise Conflict(f"{known} is set up already.", code="ALREADY_THERE", details={"id": known.pk})


def _set_up(query: types.ContractQuery, contract: types.Contract) -> Instrument | None:
    """The row of this contract, or of these words."""
    same = Instrument.objects.filter(con_id=contract.con_id).exclude(exchange__startswith=ONLY_ID).first()
    return same or Instrument.objects.filter(**_words(query)).first()


def _words(query: types.ContractQuery | Instrument) -> dict[str, str]:
    names = ("symbol", "sec_type", "exchange", "currency")
    return {name: getattr(query, name) for name in names}


def _add(query: types.ContractQuery, contract: types.Contract, actor: str) -> Instrument:
    with audit.acting(actor=actor), audit.recording():
        row = Instrument.objects.create(**_words(query))
        instrument_resolved(row, contract)
        audit.record(
            EventType.INSTRUMENT_ADDED,
            f"instrument:{row.pk}",
            version=1,
            cause=f"{row.symbol} is contract {row.con_id}",
            document=_words(query) | {"con_id": row.con_id, "name": row.name, "tick": row.tick, "lot": row.lot},
        )
    return row


def instrument_save(row: Instrument, *, actor: str) -> Instrument:
    """Set up a contract by the words that name it, or change them; nothing is asked of the broker.

    Raises Conflict ALREADY_THERE where the broker has resolved it: other words would name another contract.
    """
    with audit.acting(actor=actor), audit.recording():
        stored = Instrument.objects.select_for_update(no_key=True).filter(pk=row.pk).first()
        before, after = _words(stored) if stored else {}, _words(row)
        changed = [name for name in after if before.get(name) != after[name]]
        if stored is not None and not changed:
            return row
        if stored is not None and stored.con_id is not None:
            message = f"{stored} is contract {stored.con_id}; set up another instrument for another contract."
            raise Conflict(message, code="ALREADY_THERE", details={"id": stored.pk, "field": changed[0]})
        row.save(update_fields=changed if stored else None)
        cause = (
            f"changed: {', '.join(changed)}" if stored else f"{row.symbol} by its words; its contract is not known yet"
        )
        audit.record(
            EventType.INSTRUMENT_CHANGED if stored else EventType.INSTRUMENT_ADDED,
            f"instrument:{row.pk}",
            cause=cause,
            document=after | {"changed": {name: [before.get(name), after[name]] for name in changed}},
        )
    return row


def session_note(exchange: str, hours: types.SessionHours) -> None:
    """Keep one regular session of an exchange."""
    Session.objects.get_or_create(exchange=exchange, day=hours.day, open=hours.open, defaults={"close": hours.close})
