"""The table of controls in docs/safety.md, made from the rules themselves: `python -m tests.house.safety_page`."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from tests import environment

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "safety.md"
BEGIN, END = "<!-- controls: made by tests/house/safety_page.py -->", "<!-- end of controls -->"
# Limits that a rule's facts were measured against before it was asked.
READ_BEFORE = {
    "losses": ("max_daily_loss_reducing", "max_daily_loss_halted", "max_drawdown"),
    "allowed_contract": ("allowed_symbols", "restricted_symbols"),
    "approval": ("approval_minutes",),
}
HEAD = "| control | what it holds | limits and their defaults | judged | file | cases |\n|---|---|---|---|---|---|\n"


def rendered(page: str) -> str:
    """The page with its table as the rules have it now."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}{END}{rest.partition(END)[2]}"


def table() -> str:
    """One row a control."""
    from tests.trading.rule_cases import all_cases
    from trading.risk.rules import controls

    cases = {case.rule: case for case in all_cases()}
    return HEAD + "".join(_row(control, rule, cases[rule]) for rule, control in controls().items())


def _row(control: str, rule: str, cases: Any) -> str:
    module = import_module(f"trading.risk.{rule}")
    said = (module.__doc__ or "").partition("\n")[0].partition(": ")[2].rstrip(".")
    counts = [len(cases.allows), len(cases.refuses), len(cases.boundary), len(cases.fails_closed)]
    file = Path(str(module.__file__))
    return (
        f"| {control} | {said} | {_limits(rule, file.read_text())} | {', '.join(module.PURPOSES)} "
        f"| `{file.name}` | {' / '.join(map(str, counts))} |\n"
    )


def _limits(rule: str, source: str) -> str:
    """The limits that a rule reads, as a new profile has them."""
    from trading.models import RiskProfile

    fresh = RiskProfile()
    fields = {field.name for field in RiskProfile._meta.fields}
    found = dict.fromkeys([*re.findall(r"limits\.(\w+)", source), *READ_BEFORE.get(rule, ())])
    names = [name for name in found if name in fields]
    return "; ".join(f"{name} {_shown(getattr(fresh, name))}" for name in names) or "–"


def _shown(value: Any) -> str:
    if value is None:
        return "never"
    if value == []:
        return "empty"
    return f"{value.normalize():f}" if hasattr(value, "normalize") else str(value)


def main() -> None:
    """Write the table anew."""
    environment.prepare()
    import django

    django.setup()
    PAGE.write_text(rendered(PAGE.read_text()))


if __name__ == "__main__":
    main()
