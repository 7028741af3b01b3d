"""Whatever a model writes: only an answer that fulfils every rule becomes more than a hold."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from research.llm.checks import check_decision, verdicts
from research.llm.schema import AnswerRefused, DecisionAnswer, json_schema, read_answer
from research.measure import on_its_side
from research.types import price_of
from tests.research.openai_server import sound_decision

QUOTE = Decimal("101.50")
DATA: dict[str, Any] = {"code": "SPY", "quote": 101.5, "strategy_used": "S", "evidence_ids": ["chart:1 day"]}
SOUND = sound_decision(DATA)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=10), part, max_size=4),
    max_leaves=12,
)
NEAR_VALUES = st.sampled_from([101.5, 102.0, 97.44, 109.62, 0, -1, 1e308, "109.62", None, True, "buy", "sell", "hold"])


def accepted(text: str) -> DecisionAnswer | None:
    try:
        answer, outside = read_answer(text, DecisionAnswer)
        known = ["quote", "chart:1 day"]
        check_decision(answer, outside, symbol="SPY", quote=QUOTE, strategy_used="S", evidence=known)
    except AnswerRefused:
        return None
    return answer


def assert_sound(text: str) -> None:
    """What was accepted is a hold or fulfils all rules, in their own words."""
    answer = accepted(text)
    if answer is None or answer.type == "hold":
        return
    document = json.loads(text.strip().removeprefix("```json").removesuffix("```"))
    assert set(document) == set(SOUND)
    assert document["code"].upper() == "SPY"
    assert abs(Decimal(str(document["current_price"])) - QUOTE) <= QUOTE / 99
    assert answer.target_price is not None
    assert answer.stop_loss is not None
    assert on_its_side(answer.type, QUOTE, price_of(answer.target_price), price_of(answer.stop_loss))
    assert set(document["evidence"]) <= {"quote", "chart:1 day"}
    assert document["evidence"]


@settings(max_examples=200, deadline=None)
@given(ANY_JSON)
@example(SOUND)
def test_any_json_is_refused_or_sound(value: Any) -> None:
    assert_sound(json.dumps(value))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*SOUND, "extra"]), NEAR_VALUES | ANY_JSON, max_size=4))
def test_a_sound_answer_with_changed_fields_is_refused_or_sound(changes: dict[str, Any]) -> None:
    assert_sound(json.dumps(SOUND | changes))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_refused(text: str) -> None:
    assert accepted(text) is None


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(json.dumps(SOUND)) - 1))
def test_a_cut_answer_is_refused(length: int) -> None:
    assert accepted(json.dumps(SOUND)[:length]) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Final decision: SELL", {"sell"}),
        ("I recommend to buy here", {"buy"}),
        ("Verdict - hold", {"hold"}),
        ("the decision is sell", {"sell"}),
        ("The trend broke. Sell now.", {"sell"}),
        ("Sell the position at once", {"sell"}),
        ("Momentum is gone: sell.", {"sell"}),
        ("We should sell into strength", {"sell"}),
        ("I would therefore buy", {"buy"}),
        ("Support should hold at 98; a sell stop there is common", set()),
        ("Buyers outnumber sellers; holding support", set()),
        ("A buy signal of MACD on rising volume", set()),
    ],
)
def test_verdicts_are_what_a_text_declares(words: str, said: set[str]) -> None:
    assert verdicts(words, strict=False) == said


def test_the_schema_is_flat_and_closed_and_has_no_bounds() -> None:
    schema = json_schema(DecisionAnswer)
    assert schema["required"] == list(schema["properties"]) == list(SOUND)
    assert schema["additionalProperties"] is False
    assert "$defs" not in schema
    assert not {"minimum", "maximum", "maxLength", "exclusiveMinimum"} & set(json.dumps(schema).split('"'))
