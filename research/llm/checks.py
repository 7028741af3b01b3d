"""What a well-formed answer must also be: about the right symbol, at one with itself, near the market, well founded."""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal

from research.llm.schema import AnswerRefused, DecisionAnswer, ViewAnswer
from research.measure import on_its_side
from research.types import price_of

QUOTE_TOLERANCE = Decimal("0.01")
FARTHEST_LEVEL = Decimal("0.50")
FARTHEST_VIEW = 0.90
_WORD = r"(buy|sell|hold)"
_SHOUTED = re.compile(r"\b(BUY|SELL|HOLD)\b")
_ANY = re.compile(rf"\b{_WORD}\b", re.IGNORECASE)
_DECLARED = re.compile(
    r"\b(?:decision|verdict|recommendation|recommend|recommended|action|conclusion|proposal|propose|suggest|advise)"
    rf"\b(?:\s+(?:is|to|a|we|now))*[\s:*\"'=\-–]{{1,6}}(?:to\s+|a\s+)?{_WORD}\b",
    re.IGNORECASE,
)
_ADVISED = re.compile(
    r"\b(?:you|we|i|one|traders?|investors?)\s+(?:should|would|must|will|shall|can|now|am|are)\s+"
    rf"(?:now\s+|therefore\s+)?{_WORD}(?:ing)?\b",
    re.IGNORECASE,
)
_ORDERED = re.compile(
    rf"(?:^|[.!?:;\n])\s*(?:so |therefore,? |strong )?{_WORD}"
    r"(?=\s+(?:now|here|this|it|at|immediately|the (?:stock|shares|position))\b|\s*[.!,;]|\s*$)",
    re.IGNORECASE,
)
_PATTERNS = (_SHOUTED, _DECLARED, _ADVISED, _ORDERED)


def check_view(answer: ViewAnswer, outside: str, symbol: str, last_close: float | None) -> None:
    """Raise AnswerRefused for text around the JSON, another symbol, or levels far from the market."""
    _check_outside(outside)
    _check_symbol(answer.code, symbol)
    for level in (*answer.supports, *answer.resistances):
        if last_close and abs(level - last_close) / last_close > FARTHEST_VIEW:
            raise AnswerRefused("ungrounded_price", f"the level {level:g} is far from the last close {last_close:g}")


def check_decision(
    answer: DecisionAnswer, outside: str, *, symbol: str, quote: Decimal, strategy_used: str, evidence: Collection[str]
) -> None:
    """Raise AnswerRefused unless the answer fulfils every rule; a hold needs no levels."""
    _check_contradiction(answer, outside)
    _check_outside(outside)
    _check_symbol(answer.code, symbol)
    if answer.strategy_used != strategy_used:
        raise AnswerRefused("schema_invalid", "strategy_used must be exactly as in the data", repairable=True)
    _check_evidence(answer, evidence)
    if abs(_decimal(answer.current_price) - quote) > QUOTE_TOLERANCE * quote:
        detail = f"current_price {answer.current_price:g} is more than 1 % off the quote {quote}"
        raise AnswerRefused("ungrounded_price", detail)
    if answer.type != "hold":
        _check_levels(answer, quote)


def verdicts(text: str, *, strict: bool) -> set[str]:
    """The verdicts a text declares: shouted, named, advised or ordered ones; `strict` counts every such word."""
    if strict:
        return {word.lower() for word in _ANY.findall(text)}
    return {word.lower() for pattern in _PATTERNS for word in pattern.findall(text)}


def _check_contradiction(answer: DecisionAnswer, outside: str) -> None:
    said = verdicts(outside, strict=True) | verdicts(answer.rationale, strict=False)
    if said - {answer.type}:
        detail = f"the JSON says {answer.type}, the text says {', '.join(sorted(said - {answer.type}))}"
        raise AnswerRefused("text_json_contradiction", detail)


def _check_outside(outside: str) -> None:
    if outside:
        raise AnswerRefused("schema_invalid", "there is text outside the JSON object", repairable=True)


def _check_symbol(code: str, symbol: str) -> None:
    if code.strip().upper() != symbol.upper():
        raise AnswerRefused("wrong_symbol", f"the answer is about {code!r}, not {symbol!r}")


def _check_evidence(answer: DecisionAnswer, known: Collection[str]) -> None:
    unknown = [cited for cited in answer.evidence if cited not in known]
    if unknown:
        raise AnswerRefused("unknown_evidence", f"no input has the id {unknown[0]!r}")
    if answer.type != "hold" and not answer.evidence:
        raise AnswerRefused("unknown_evidence", f"a {answer.type} must cite at least one input")


def _check_levels(answer: DecisionAnswer, quote: Decimal) -> None:
    if answer.target_price is None or answer.stop_loss is None:
        raise AnswerRefused("schema_invalid", f"a {answer.type} needs target_price and stop_loss", repairable=True)
    target, stop = _decimal(answer.target_price), _decimal(answer.stop_loss)
    for name, level in (("target_price", target), ("stop_loss", stop)):
        if level <= 0 or abs(level - quote) > FARTHEST_LEVEL * quote:
            raise AnswerRefused("ungrounded_price", f"{name} {level} is more than 50 % off the quote {quote}")
    if not all(on_its_side(answer.type, price, target, stop) for price in (quote, _decimal(answer.current_price))):
        detail = f"{answer.type} at {quote} with target {target} and stop {stop}"
        raise AnswerRefused("wrong_side", f"target and stop are not on their sides: {detail}")


def _decimal(value: float) -> Decimal:
    return price_of(value)
