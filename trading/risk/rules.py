"""Running the rules: all that concern an order, in the order of their controls, and an error in a rule refuses."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from autotrader.core.ops import measures
from trading.risk.base import Proposal, Verdict

logger = logging.getLogger(__name__)
_NOT_RULES = {"__init__", "base", "market", "rules", "sizing"}


def rule_names() -> list[str]:
    """Every rule there is, by its file, in the order of the controls."""
    return list(_rules())


def controls() -> dict[str, str]:
    """The control (P1 …) that each rule enforces, by the rule's name."""
    return {name: rule.CONTROL for name, rule in _rules().items()}


@cache
def _rules() -> dict[str, ModuleType]:
    names = [path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in _NOT_RULES]
    found = {name: import_module(f"trading.risk.{name}") for name in names}
    return dict(sorted(found.items(), key=lambda item: (int(item[1].CONTROL[1:]), item[0])))


def judge(proposal: Proposal, *, only: Iterable[str] | None = None) -> list[Verdict]:
    """The verdict of every rule that concerns the proposal's purpose; a purpose of no rule is refused."""
    names, began = None if only is None else set(only), time.perf_counter()
    verdicts = [
        _judge_one(name, rule, proposal)
        for name, rule in _rules().items()
        if proposal.purpose in rule.PURPOSES and (names is None or name in names)
    ]
    if not verdicts:
        message = f"no rule judges an order of purpose {proposal.purpose!r}"
        verdicts.append(Verdict("rules", allowed=False, code="NO_RULE", message=message))
    measures.gate("controls", all(verdict.allowed for verdict in verdicts), time.perf_counter() - began)
    return verdicts


def _judge_one(name: str, rule: ModuleType, proposal: Proposal) -> Verdict:
    try:
        answer: Verdict = rule.check(proposal)
    except Exception as error:
        logger.exception("risk rule %s failed", name)
        return Verdict(name, allowed=False, code="RULE_FAILED", message=f"the rule failed: {error}")
    return answer
