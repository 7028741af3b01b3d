"""What a person sets up of a strategy: checked by field, saved over the version that was seen, never deleted."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import Model

from autotrader.core import audit
from autotrader.core.errors import AutoTraderError, Conflict, Invalid
from trading.models import Instrument, RiskProfile, Strategy, WorkflowVersion
from trading.models.strategy import Mode
from trading.selectors.settings import StrategyUnknown
from trading.services.strategies import strategy_save

FIELDS = (
    "name", "enabled", "workflow_version", "instruments", "parameters", "risk_profile", "analyst", "mode",
    "allow_short", "interval_seconds", "priority",
)  # fmt: skip
REFERENCES: dict[str, type[Model]] = {"workflow_version": WorkflowVersion, "risk_profile": RiskProfile}
LOOSEN_PERMISSION = "trading.change_riskprofile"
PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}", re.ASCII)


class MayNotLoosen(AutoTraderError):
    """Whoever sets up strategies does not loosen what guards them: ask a risk manager."""

    code = "RISK_MANAGER_NEEDED"
    status = 403


def loosened(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """What would guard less than before, by field, with the reason; `before` is empty of a new strategy.

    Both name `mode`, `allow_short` and the `risk_profile` by its id.
    """
    found = {}
    if after["mode"] == Mode.AUTO and before.get("mode") != Mode.AUTO:
        found["mode"] = "Orders would leave without a person's yes."
    if after["allow_short"] and not before.get("allow_short"):
        found["allow_short"] = "Shorts could be opened."
    if before and after["risk_profile"] != before["risk_profile"]:
        found["risk_profile"] = "Other limits would be in force."
    return {name: f"{reason} This needs the permission {LOOSEN_PERMISSION}." for name, reason in found.items()}


def guards_of(strategy: Strategy) -> dict[str, Any]:
    """What `loosened` compares."""
    return {"mode": strategy.mode, "allow_short": strategy.allow_short, "risk_profile": strategy.risk_profile_id}


def strategy_faults(
    *, enabled: bool, instruments: Collection[Instrument], parameters: Any, workflow_version: WorkflowVersion | None
) -> dict[str, str]:
    """What could not run, by the field that is to be corrected."""
    faults = {}
    if not isinstance(parameters, dict):
        faults["parameters"] = 'Write one JSON object, for example {"period_1": "2 Y", "bar_1": "1 day"}.'
    elif not all(PARAMETER.fullmatch(str(name)) for name in parameters):
        faults["parameters"] = "The names of parameters are letters, digits and _, as in period_1."
    if enabled and not instruments:
        faults["instruments"] = "An enabled strategy needs at least one instrument."
    if workflow_version is not None and workflow_version.published_at is None:
        faults["workflow_version"] = f"{workflow_version} is not published; publish it first."
    return faults


def strategy_create(values: Mapping[str, Any], *, actor: str, may_loosen: bool) -> Strategy:
    """A new strategy of FIELDS, whose references are ids; those that are not given have the model's defaults.

    `may_loosen`: this person may change risk profiles. Raises MayNotLoosen, and Invalid naming each field.
    """
    found = _resolved(values)
    instruments = found.pop("instruments", [])
    strategy = Strategy(**found)
    _refuse_loosening({}, strategy, may_loosen=may_loosen)
    return _save(strategy, instruments, actor)


def strategy_change(
    pk: int, values: Mapping[str, Any], *, actor: str, may_loosen: bool, version: int | None = None
) -> Strategy:
    """Change some of FIELDS, whose references are ids, as the next version; what changes nothing makes none.

    `may_loosen`: this person may change risk profiles. Raises StrategyUnknown, Conflict STALE_VERSION where `version`
    was given and is not the stored one, MayNotLoosen, and Invalid.
    """
    with audit.acting(actor=actor), audit.recording():
        strategy = Strategy.objects.select_for_update(no_key=True).filter(pk=pk).first()
        if strategy is None:
            raise StrategyUnknown(f"There is no strategy {pk}.", details={"field": "id"})
        if version is not None and version != strategy.version:
            raise Conflict(
                f"{strategy} is at version {strategy.version} by now; read it again.",
                code="STALE_VERSION",
                details={"field": "version", "version": strategy.version},
            )
        wanted, held = _resolved(values), list(strategy.instruments.all())
        instruments = wanted.pop("instruments", held)
        changed = {name: value for name, value in wanted.items() if getattr(strategy, name) != value}
        if not changed and {row.pk for row in instruments} == {row.pk for row in held}:
            return strategy
        before = guards_of(strategy)
        for name, value in changed.items():
            setattr(strategy, name, value)
        _refuse_loosening(before, strategy, may_loosen=may_loosen)
        return _save(strategy, instruments, actor)


def _refuse_loosening(before: Mapping[str, Any], strategy: Strategy, *, may_loosen: bool) -> None:
    found = {} if may_loosen else loosened(before, guards_of(strategy))
    if found:
        first = next(iter(found))
        raise MayNotLoosen(f"{first}: {found[first]}", details={"field": first, "fields": found})


def _resolved(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with rows for ids. Raises Invalid naming the field whose id is unknown."""
    found: dict[str, Any] = {name: value for name, value in values.items() if name in FIELDS}
    for name, model in REFERENCES.items():
        if name in found:
            found[name] = _rows(name, model, [found[name]])[0]
    if "instruments" in found:
        found["instruments"] = _rows("instruments", Instrument, found["instruments"])
    return found


def _rows(field: str, model: type[Model], ids: Collection[int]) -> list[Any]:
    rows = model._default_manager.in_bulk(set(ids))
    unknown = sorted(set(ids) - set(rows))
    if unknown:
        problem = f"There is none with the id {unknown[0]}."
        raise Invalid(f"{field}: {problem}", details={"field": field, "fields": {field: problem}})
    return [rows[pk] for pk in dict.fromkeys(ids)]


def _save(strategy: Strategy, instruments: list[Instrument], actor: str) -> Strategy:
    faults = _field_faults(strategy) | strategy_faults(
        enabled=strategy.enabled,
        instruments=instruments,
        parameters=strategy.parameters,
        workflow_version=WorkflowVersion.objects.filter(pk=strategy.workflow_version_id).first(),
    )
    if faults:
        first = next(iter(faults))
        raise Invalid(f"{first}: {faults[first]}", details={"field": first, "fields": faults})
    try:
        return strategy_save(strategy, actor=actor, instruments=instruments)
    except IntegrityError as error:  # another has taken the name at this moment
        problem = "There is a strategy of this name already."
        raise Invalid(f"name: {problem}", details={"field": "name", "fields": {"name": problem}}) from error


def _field_faults(strategy: Strategy) -> dict[str, str]:
    try:
        strategy.full_clean()
    except ValidationError as error:
        return {name: " ".join(texts) for name, texts in error.message_dict.items()}
    return {}
