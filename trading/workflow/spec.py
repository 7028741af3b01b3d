"""Reading and checking a version's steps; an unknown step or parameter is refused by name."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

from autotrader.core.errors import Invalid

_STEPS = Path(__file__).parent / "steps"
MAX_DELAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One step of a version: its name, typed parameters and the seconds to wait before it."""

    name: str
    parameters: Any
    delay_s: int
    raw: dict[str, Any]


def step_names() -> list[str]:
    """Every step there is: the files of the folder."""
    return sorted(path.stem for path in _STEPS.glob("*.py") if not path.stem.startswith("_"))


def _fail(index: int, text: str) -> Invalid:
    return Invalid(f"Step {index + 1}: {text}", code="WORKFLOW_INVALID", details={"step": index + 1})


@cache
def _parameter_types(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _parameters(index: int, name: str, given: Any) -> Any:
    cls = import_module(f"trading.workflow.steps.{name}").Parameters
    if not isinstance(given, dict):
        raise _fail(index, f"the parameters of {name} must be an object.")
    known = {field.name for field in dataclasses.fields(cls)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise _fail(index, f"{name} has no parameter {unknown[0]}; it has {', '.join(sorted(known)) or 'none'}.")
    for key, value in given.items():
        _check_type(index, name, key, value, _parameter_types(cls)[key])
    try:
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})
    except ValueError as error:
        raise _fail(index, f"{name}: {error}.") from error


def _check_type(index: int, name: str, key: str, value: Any, wanted: Any) -> None:
    if wanted in (int, float):
        good = isinstance(value, (int, float) if wanted is float else int) and not isinstance(value, bool)
    elif wanted in (str, bool):
        good = isinstance(value, wanted)
    else:  # tuple[int, ...]
        good = isinstance(value, list) and all(type(item) is get_args(wanted)[0] for item in value)
    if not good:
        raise _fail(index, f"{name}.{key} has the wrong type ({type(value).__name__}).")


def validate(steps: Any) -> tuple[StepSpec, ...]:
    """The version's steps, checked; raises Invalid naming the step and the fix."""
    if not isinstance(steps, list) or not steps:
        raise Invalid("A workflow version needs a list of at least one step.", code="WORKFLOW_INVALID")
    known = step_names()
    specs = []
    for index, raw in enumerate(steps):
        if not isinstance(raw, dict) or set(raw) - {"name", "parameters", "delay_s"}:
            raise _fail(index, "it must be an object with name, parameters and delay_s.")
        name, delay = raw.get("name"), raw.get("delay_s", 0)
        if name not in known:
            raise _fail(index, f"there is no step {name!r}; there are {', '.join(known)}.")
        if isinstance(delay, bool) or not isinstance(delay, int) or not 0 <= delay <= MAX_DELAY_SECONDS:
            raise _fail(index, f"delay_s must be a whole number of seconds from 0 to {MAX_DELAY_SECONDS}.")
        specs.append(StepSpec(name, _parameters(index, name, raw.get("parameters", {})), delay, raw))
    _check_order([spec.name for spec in specs])
    return tuple(specs)


def _check_order(names: list[str]) -> None:
    """A step may rely on the ones before it; refuse an order in which it could not."""
    for index, name in enumerate(names):
        needs: tuple[str, ...] = import_module(f"trading.workflow.steps.{name}").NEEDS
        missing = [need for need in needs if need not in names[:index]]
        if missing:
            raise _fail(index, f"{name} needs {missing[0]} before it.")
        if name in names[:index]:
            raise _fail(index, f"{name} stands twice.")
