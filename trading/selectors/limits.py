"""The limits in force, and how they came to be what they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trading.models import RiskProfile, RiskProfileVersion, Strategy


def desk_profile() -> RiskProfile:
    """The desk's own limits; the defaults, unsaved, where nobody has set any."""
    return RiskProfile.objects.filter(is_desk=True).first() or RiskProfile(name="desk", is_desk=True)


def limits_of(strategy: Strategy | None) -> RiskProfile:
    """The strategy's limits, or the desk's for an order without one."""
    return strategy.risk_profile if strategy is not None else desk_profile()


@dataclass(frozen=True, slots=True)
class Change:
    """One limit before and after, as people read them."""

    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Saved:
    """One version of a profile: who saved it, when, and what it changed; a first version has no changes."""

    number: int
    actor: str
    at: datetime
    changes: list[Change]


def profile_history(profile_id: int, newest: int = 50) -> list[Saved]:
    """The newest versions of a profile, newest first."""
    versions = RiskProfileVersion.objects.filter(profile=profile_id).order_by("-number")[:newest]
    return [Saved(row.number, row.actor, row.at, changes_of(row) if row.number > 1 else []) for row in versions]


def changes_of(version: RiskProfileVersion) -> list[Change]:
    """What this version changed, in the order of the limits."""
    return [
        Change(label, _told(version.changed[name][0]), _told(version.changed[name][1]))
        for name, label in _labels().items()
        if name in version.changed
    ]


def limits_as_saved(version: RiskProfileVersion) -> list[tuple[str, str]]:
    """Every limit of this version with its value."""
    return [(label, _told(version.values[name])) for name, label in _labels().items() if name in version.values]


def _labels() -> dict[str, str]:
    hidden = {"id", "version"}
    return {field.attname: str(field.verbose_name) for field in RiskProfile._meta.fields if field.attname not in hidden}


def _told(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
