"""Changing what a person sets up: every change is a new version and an Event with what was and what is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.errors import Conflict
from trading.models import Instrument, RiskProfile, Strategy


def strategy_save(strategy: Strategy, *, actor: str, instruments: Iterable[Instrument] | None = None) -> Strategy:
    """Save the strategy as its next version; `instruments`, where given, replace the ones it had.

    Raises Conflict where somebody else saved it since it was read.
    """
    with audit.acting(actor=actor), audit.recording():
        before = {} if strategy._state.adding else _document(strategy)
        _save_next(strategy)
        if instruments is not None:
            strategy.instruments.set(instruments)
        _record(EventType.STRATEGY_CHANGED, f"strategy:{strategy.pk}", strategy, before)
    return strategy


def risk_profile_save(profile: RiskProfile, *, actor: str) -> RiskProfile:
    """Save the limits as their next version; raises Conflict where somebody else saved them since they were read.

    Raises ValidationError, naming the field, where a limit makes no sense.
    """
    profile.clean_fields()
    with audit.acting(actor=actor), audit.recording():
        before = {} if profile._state.adding else _document(profile)
        _save_next(profile)
        _record(EventType.RISK_PROFILE_CHANGED, f"risk_profile:{profile.pk}", profile, before)
    return profile


def _save_next(row: Strategy | RiskProfile) -> None:
    if row._state.adding:
        row.version = 1
    else:
        stored = type(row)._default_manager.select_for_update().get(pk=row.pk)
        if stored.version != row.version:
            raise Conflict(f"{row} was changed by somebody else; read it again.")
        row.version += 1
    row.save()


def _document(row: Strategy | RiskProfile) -> dict[str, Any]:
    """The stored row by field name; a strategy's with its symbols."""
    values: dict[str, Any] = dict(type(row)._default_manager.filter(pk=row.pk).values().get())
    if isinstance(row, Strategy):
        values["instruments"] = sorted(row.instruments.values_list("symbol", flat=True))
    return values


def _record(kind: EventType, subject: str, row: Strategy | RiskProfile, before: dict[str, Any]) -> None:
    after = _document(row)
    changed = {name: [before.get(name), value] for name, value in after.items() if before.get(name) != value}
    audit.record(
        kind,
        subject,
        version=row.version,
        cause="created" if not before else "changed: " + ", ".join(sorted(set(changed) - {"version"})),
        document={"changed": changed, "now": after},
    )
