"""The table of each rule's cases: allowed, refused, on its boundary and past it, and what it cannot know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

# Fields of a sound proposal that differ, by name: the proposal's own, its ledger's, its desk's, and `limits={…}`.
Change = dict[str, Any]


@dataclass(frozen=True)
class Cases:
    """One rule's cases. `boundary`: exactly at the limit (allowed), one step past it (refused), and the code.

    `fails_closed`: an input is missing, NaN or raises, and the code; each of the four must be there.
    """

    rule: str
    allows: Sequence[Change]
    refuses: Sequence[tuple[Change, str]]
    boundary: Sequence[tuple[Change, Change, str]]
    fails_closed: Sequence[tuple[Change, str]]


def all_cases() -> list[Cases]:
    """The tables of every module here that is named after its cases."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("*_rule_cases.py"))
    return [cases for name in names for cases in import_module(f"tests.trading.{name}").CASES]
