"""Running the rules: all of them, always, and an error in a rule refuses."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path

from trading.risk.base import Proposal, Verdict

logger = logging.getLogger(__name__)
_NOT_RULES = {"__init__", "base", "rules", "sizing"}


def rule_names() -> list[str]:
    """Every rule there is, by its file."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in _NOT_RULES)


def judge(proposal: Proposal, *, only: tuple[str, ...] | None = None) -> list[Verdict]:
    """The verdict of every rule that concerns the proposal's purpose; a purpose of no rule is refused."""
    verdicts = []
    for name in rule_names() if only is None else only:
        rule = import_module(f"trading.risk.{name}")
        if proposal.purpose in rule.PURPOSES:
            verdicts.append(_judge_one(name, rule.check, proposal))
    if not verdicts:
        message = f"no rule judges an order of purpose {proposal.purpose!r}"
        verdicts.append(Verdict("rules", allowed=False, code="NO_RULE", message=message))
    return verdicts


def _judge_one(name: str, check: object, proposal: Proposal) -> Verdict:
    try:
        answer: Verdict = check(proposal)  # type: ignore[operator]
    except Exception as error:
        logger.exception("risk rule %s failed", name)
        return Verdict(name, allowed=False, code="RULE_FAILED", message=f"the rule failed: {error}")
    return answer
