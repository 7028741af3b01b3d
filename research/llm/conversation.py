"""A question to a model with its repair rounds: reserved, sent, read, checked and written down call by call."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import sha256
from typing import Any, Generic, TypeVar

from research.llm import client
from research.llm.budget import BudgetExhausted, CallDraft, CallOutcome, Ledger, cost, estimate
from research.llm.client import ModelCallFailed, RawAnswer
from research.llm.prompts import Prompt, as_data, prompt
from research.llm.schema import Answer, AnswerRefused, json_schema, read_answer
from research.types import Failure, ModelCallRecord, ModelSettings

AnswerT = TypeVar("AnswerT", bound=Answer)
REPEATED_ANSWER_LENGTH = 6_000


@dataclass(frozen=True, slots=True)
class Question(Generic[AnswerT]):
    """What is asked; `check` sees the answer and the text outside its JSON, and raises AnswerRefused."""

    purpose: str
    prompt: Prompt
    data: Mapping[str, Any]
    kind: type[AnswerT]
    check: Callable[[AnswerT, str], None]
    images: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Reply(Generic[AnswerT]):
    """The accepted answer or the failure, and every call that was made for it."""

    answer: AnswerT | None
    failure: Failure | None
    calls: tuple[ModelCallRecord, ...]


@dataclass(slots=True)
class _Call:
    """One round on its way: what was drafted, then what came back."""

    draft: CallDraft
    call_id: int
    started: float
    raw: RawAnswer | None = None


def ask(question: Question[AnswerT], settings: ModelSettings, ledger: Ledger) -> Reply[AnswerT]:
    """Ask, and again after an answer of the wrong form, all within `settings.timeout_s`; a bad model raises nothing."""
    deadline = time.monotonic() + settings.timeout_s
    messages = _messages(question)
    calls: list[ModelCallRecord] = []
    refused = AnswerRefused("model_error", "nothing was asked")
    for number in range(settings.repair_rounds + 1):
        purpose = question.purpose if number == 0 else f"{question.purpose}:repair{number}"
        draft = _draft(question, settings, messages, purpose, question.prompt if number == 0 else prompt("repair"))
        result = _round(question, settings, ledger, messages, draft, deadline, calls)
        if not isinstance(result, AnswerRefused):
            return Reply(result, None, tuple(calls))
        refused = result
        if not refused.repairable:
            break
        messages = [*messages, *_repair(calls[-1].answer, refused.detail)]
    return Reply(None, Failure(refused.code, refused.detail), tuple(calls))


def _round(
    question: Question[AnswerT], settings: ModelSettings, ledger: Ledger, messages: list[dict[str, Any]],
    draft: CallDraft, deadline: float, calls: list[ModelCallRecord],
) -> AnswerT | AnswerRefused:  # fmt: skip
    """One call, or the stored answer of the same one; its record is added to `calls`."""
    stored = ledger.stored_answer(draft.cache_key)
    if stored is not None:
        raw = RawAnswer(stored.answer, stored.finish_reason, stored.tokens_in, stored.tokens_out, "")
        result = _judge(question, raw)
        if not isinstance(result, AnswerRefused):
            record = _record(draft, _outcome(settings, draft, raw, 0, ""), stored.call_id)
            calls.append(replace(record, cost=Decimal(0), cached=True))
            return result
    if ledger.is_interrupted():
        return AnswerRefused("model_interrupted", "the process ended while a model was asked; it is not asked again")
    try:
        call = _Call(draft, ledger.open(draft), time.monotonic())
    except BudgetExhausted as error:
        return AnswerRefused("budget_exhausted", str(error))
    result = AnswerRefused("model_error", "the call was broken off")
    try:
        result = _send(question, settings, messages, call, deadline)
    finally:
        milliseconds = int((time.monotonic() - call.started) * 1000)
        error_text = str(result) if isinstance(result, AnswerRefused) else ""
        outcome = _outcome(settings, draft, call.raw, milliseconds, error_text)
        ledger.close(call.call_id, outcome)
        calls.append(_record(draft, outcome, call.call_id))
    return result


def _send(
    question: Question[AnswerT], settings: ModelSettings, messages: list[dict[str, Any]], call: _Call, deadline: float
) -> AnswerT | AnswerRefused:
    try:
        call.raw = client.ask(settings, messages, question.kind.__name__, json_schema(question.kind), deadline)
    except ModelCallFailed as error:
        call.raw = error.raw
        return AnswerRefused(error.code, error.detail)
    return _judge(question, call.raw)


def _judge(question: Question[AnswerT], raw: RawAnswer) -> AnswerT | AnswerRefused:
    try:
        answer, outside = read_answer(raw.text, question.kind)
        question.check(answer, outside)
    except AnswerRefused as refused:
        return refused
    return answer


def is_same(question: Question[AnswerT], request: str) -> bool:
    """Whether this question, put now, would be stored as exactly this request."""
    hashes = tuple(sha256(image).hexdigest() for image in question.images)
    return json.dumps(_stored(_messages(question), hashes), ensure_ascii=False) == request


def _messages(question: Question[AnswerT]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"type": "text", "text": as_data(question.data)}]
    for image in question.images:
        address = "data:image/png;base64," + base64.b64encode(image).decode()
        parts.append({"type": "image_url", "image_url": {"url": address, "detail": "high"}})
    return [{"role": "system", "content": question.prompt.text}, {"role": "user", "content": parts}]


def _repair(answer: str, detail: str) -> list[dict[str, Any]]:
    asked = f"{prompt('repair').text}\n{as_data({'reason': detail})}"
    return [
        {"role": "assistant", "content": answer[:REPEATED_ANSWER_LENGTH] or "(empty)"},
        {"role": "user", "content": asked},
    ]


def _draft(
    question: Question[AnswerT], settings: ModelSettings, messages: list[dict[str, Any]], purpose: str, asked_by: Prompt
) -> CallDraft:
    hashes = tuple(sha256(image).hexdigest() for image in question.images)
    request = json.dumps(_stored(messages, hashes), ensure_ascii=False)
    schema = json.dumps(json_schema(question.kind), sort_keys=True)
    parameters = {
        "max_completion_tokens": settings.max_output_tokens,
        "temperature": settings.temperature,
        "schema": question.kind.__name__,
        "endpoint": settings.base_url or client.OPENAI_URL,
    }
    key = json.dumps([settings.model, parameters, schema, asked_by.sha256, request], sort_keys=True)
    return CallDraft(
        purpose=purpose,
        prompt=asked_by,
        model=settings.model,
        parameters=parameters,
        input_hashes={"data": _hash(as_data(question.data)), "schema": _hash(schema), "request": _hash(request)},
        images=hashes,
        request=request,
        cache_key=_hash(key),
        reserved=estimate(settings, len(request) + len(schema), len(hashes)),
    )


def _stored(messages: list[dict[str, Any]], hashes: tuple[str, ...]) -> list[dict[str, Any]]:
    """The messages with the SHA-256 of each image in place of its bytes."""
    remaining = iter(hashes)
    return [message | {"content": _without_images(message["content"], remaining)} for message in messages]


def _without_images(content: Any, hashes: Any) -> Any:
    if isinstance(content, str):
        return content
    return [{"type": "image", "sha256": next(hashes)} if part["type"] == "image_url" else part for part in content]


def _outcome(
    settings: ModelSettings, draft: CallDraft, raw: RawAnswer | None, milliseconds: int, error: str
) -> CallOutcome:
    """A call whose tokens nobody counted costs what was reserved."""
    counted = raw is not None and raw.tokens_in is not None and raw.tokens_out is not None
    tokens_in, tokens_out = ((raw.tokens_in or 0, raw.tokens_out or 0) if raw else (0, 0)) if counted else (0, 0)
    return CallOutcome(
        answer=raw.text if raw else "",
        finish_reason=raw.finish_reason if raw else "",
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost=cost(settings, tokens_in, tokens_out) if counted else draft.reserved,
        latency_ms=milliseconds,
        error=error,
        parameters={**draft.parameters, "response_format": client.response_format(settings)},
    )


def _record(draft: CallDraft, outcome: CallOutcome, call_id: int) -> ModelCallRecord:
    return ModelCallRecord(
        purpose=draft.purpose,
        prompt_name=draft.prompt.name,
        prompt_version=draft.prompt.version,
        prompt_hash=draft.prompt.sha256,
        model=draft.model,
        parameters=outcome.parameters,
        input_hashes=draft.input_hashes,
        images=draft.images,
        request=draft.request,
        answer=outcome.answer,
        tokens_in=outcome.tokens_in,
        tokens_out=outcome.tokens_out,
        cost=outcome.cost,
        latency_ms=outcome.latency_ms,
        finish_reason=outcome.finish_reason,
        error=outcome.error,
        call_id=call_id,
    )


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
