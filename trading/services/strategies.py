"""Changing what a person sets up: every change is a new version and an Event with what was and what is."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict
from trading.models import Instrument, RiskProfile, RiskProfileVersion, Strategy


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
    """Save the limits as their next version, kept for history with who saved them and what changed.

    Raises Conflict where somebody else saved them since they were read, ValidationError, naming the field, where a
    limit makes no sense or contradicts another.
    """
    profile.full_clean()
    with audit.acting(actor=actor), audit.recording():
        before = {} if profile._state.adding else _document(profile)
        _save_next(profile)
        after = _document(profile)
        _record(EventType.RISK_PROFILE_CHANGED, f"risk_profile:{profile.pk}", profile, before)
        RiskProfileVersion.objects.create(
            profile=profile,
            number=profile.version,
            values=_plain(after),
            changed=_plain({name: [before.get(name), after[name]] for name in _changed(before, after)}),
            actor=actor[:80],
            at=system_now(),
        )
    return profile


def desk_profile_ensure(*, actor: str) -> RiskProfile:
    """The desk's own limits, made with the defaults where nobody has set any; what is named "desk" already stays."""
    found = RiskProfile.objects.filter(is_desk=True).first()
    if found is not None:
        return found
    taken = RiskProfile.objects.filter(name="desk").exists()
    return risk_profile_save(RiskProfile(name="the desk" if taken else "desk", is_desk=True), actor=actor)


def _save_next(row: Strategy | RiskProfile) -> None:
    if row._state.adding:
        row.version = 1
    else:
        stored = type(row)._default_manager.select_for_update(no_key=True).get(pk=row.pk)
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
    changed = _changed(before, after)
    audit.record(
        kind,
        subject,
        version=row.version,
        cause="created" if not before else "changed: " + ", ".join(changed),
        document={"changed": {name: [before.get(name), after[name]] for name in changed}, "now": after},
    )


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of what differs, the version aside."""
    return sorted(name for name, value in after.items() if name != "version" and before.get(name, ...) != value)


def _plain(value: Any) -> Any:
    """JSON-safe, numbers as people write them."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
