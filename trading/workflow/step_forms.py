"""What each step may be told: its purpose, the steps it needs before it, and its typed parameters."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, get_args, get_type_hints

from trading.workflow.spec import step_names

TYPES: dict[Any, str] = {int: "integer", float: "number", str: "string", bool: "boolean"}


@dataclass(frozen=True, slots=True)
class ParameterForm:
    """One parameter; `items` is the type of what an array holds, else null."""

    name: str
    type: str
    items: str | None
    default: Any


@dataclass(frozen=True, slots=True)
class StepForm:
    """One kind of step; `note` says what its parameters mean."""

    name: str
    purpose: str
    needs: tuple[str, ...]
    parameters: tuple[ParameterForm, ...]
    note: str


@cache
def step_forms() -> tuple[StepForm, ...]:
    """Every step that a workflow may have."""
    return tuple(map(_form, step_names()))


def _form(name: str) -> StepForm:
    module = import_module(f"trading.workflow.steps.{name}")
    hints = get_type_hints(module.Parameters)
    fields = dataclasses.fields(module.Parameters)
    parameters = tuple(_parameter(field, hints[field.name]) for field in fields)
    note = " ".join((module.Parameters.__doc__ or "").split()) if parameters else ""
    return StepForm(name, str(module.__doc__).splitlines()[0], tuple(module.NEEDS), parameters, note)


def _parameter(field: dataclasses.Field[Any], hint: Any) -> ParameterForm:
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    if hint in TYPES:
        return ParameterForm(field.name, TYPES[hint], None, default)
    return ParameterForm(field.name, "array", TYPES[get_args(hint)[0]], default)
