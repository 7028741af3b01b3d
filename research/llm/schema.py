"""The shapes of a model's answers: flat, closed, strict; and their reading from text."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from research.types import Direction, OpinionType

Price = Annotated[float, Field(gt=0, le=100_000_000, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def _storable(text: str) -> str:
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("text with a character that cannot be stored")
    return text


Words = Annotated[str, AfterValidator(_storable)]
Code = Annotated[Words, Field(min_length=1, max_length=40)]
FENCE = re.compile(r"```(?:json|JSON)?[ \t]*\r?\n(.*?)\r?\n?```", re.DOTALL)
BOUNDS = {"title", "default", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength",
          "minItems", "maxItems"}  # fmt: skip
DETAIL_LENGTH = 500


class AnswerRefused(Exception):
    """An answer that must not be used: a stable code, a sentence, and whether asking again may help."""

    def __init__(self, code: str, detail: str, *, repairable: bool = False) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail[:DETAIL_LENGTH]
        self.repairable = repairable


class Answer(BaseModel):
    """What every answer has in common: no other fields, no conversions, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    code: Code


class ViewAnswer(Answer):
    """The view of one chart, or of several joined."""

    direction: Direction
    strength: Share
    supports: Annotated[list[Price], Field(max_length=12)]
    resistances: Annotated[list[Price], Field(max_length=12)]
    summary: Annotated[Words, Field(min_length=1, max_length=3000)]


class DecisionAnswer(Answer):
    """A proposal to buy, sell or hold."""

    type: OpinionType
    current_price: Price
    target_price: Price | None
    stop_loss: Price | None
    profit_margin: Ratio | None
    R_coefficient: Ratio | None
    strategy_used: Annotated[Words, Field(max_length=200)]
    confidence: Share
    rationale: Annotated[Words, Field(min_length=1, max_length=4000)]
    evidence: Annotated[list[Annotated[Words, Field(max_length=120)]], Field(max_length=30)]


AnswerT = TypeVar("AnswerT", bound=Answer)
Verdict = Literal["buy", "sell", "hold"]


def json_schema(kind: type[Answer]) -> dict[str, Any]:
    """The JSON schema to send: all fields required, none other; some servers refuse bounds, so they stay here."""
    schema: dict[str, Any] = _without_bounds(kind.model_json_schema())
    schema.pop("description", None)
    return schema | {"required": list(schema["properties"]), "additionalProperties": False}


def read_answer(text: str, kind: type[AnswerT]) -> tuple[AnswerT, str]:
    """The answer in a text and the text outside its JSON (empty but for an answer that is refused later).

    A fence around the JSON is taken off. Anything that is not such an answer raises AnswerRefused `schema_invalid`,
    which may be repaired.
    """
    stripped = text.strip()
    if not stripped:
        _refuse("the answer is empty")
    fenced = FENCE.fullmatch(stripped)
    body, outside = _split(fenced.group(1).strip() if fenced else stripped)
    try:
        return kind.model_validate(body), outside
    except ValidationError as error:
        _refuse(_problems(error))


def _split(text: str) -> tuple[Any, str]:
    """The first JSON object of a text, and what stands around it."""
    start = text.find("{")
    if start < 0:
        _refuse("there is no JSON object in the answer")
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        _refuse(f"the answer is not valid JSON: {error}")
    return value, (text[:start] + " " + text[end:]).strip()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a field appears twice")
    return dict(pairs)


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_unique_keys)


def _problems(error: ValidationError) -> str:
    """What is wrong, by field, without repeating the model's own values."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(str(part)[:40] for part in item['loc'])}: {item['msg']}" for item in found[:6])


def _refuse(detail: str) -> NoReturn:
    raise AnswerRefused("schema_invalid", detail, repairable=True)


def _without_bounds(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_bounds(part) for part in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if key not in BOUNDS or isinstance(value, dict)}
    return {key: _without_bounds(value) for key, value in kept.items()}
