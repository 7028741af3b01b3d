"""The formulas of docs/paper-gateway.md: every worked example there is recomputed here."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from broker.paper_gateway import economics

PAGE = Path(__file__).resolve().parents[2] / "docs" / "paper-gateway.md"
EXAMPLE = re.compile(r"^(\w+)\(([^)]*)\) = (\S+)$", re.MULTILINE)
FORMULAS: dict[str, Callable[..., object]] = {
    "half_spread": lambda price: economics.half_spread(price, Decimal("0.01")),
    "commission": economics.commission,
    "bar_capacity": lambda volume: economics.bar_capacity(float(volume)),
    "quote_size": lambda volume: economics.quote_size(float(volume)),
    "initial_margin": economics.initial_margin,
    "maintenance_margin": economics.maintenance_margin,
    "futures_commission": economics.futures_commission,
    "currency_commission": economics.currency_commission,
    "future_initial": economics.future_initial,
    "future_maintenance": economics.future_maintenance,
}
EXAMPLES = EXAMPLE.findall(PAGE.read_text())


@pytest.mark.parametrize(("formula", "arguments", "result"), EXAMPLES)
def test_worked_examples(formula: str, arguments: str, result: str) -> None:
    values = [Decimal(part) for part in arguments.split(",")]
    assert FORMULAS[formula](*values) == Decimal(result)


def test_every_formula_has_an_example() -> None:
    assert {name for name, _, _ in EXAMPLES} == set(FORMULAS)


def test_numbers_that_are_none_give_no_room() -> None:
    assert [economics.bar_capacity(volume) for volume in (float("nan"), -5.0, float("inf"))] == [0, 0, 0]
    assert economics.quote_size(float("nan")) == 100
