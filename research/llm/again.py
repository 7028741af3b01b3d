"""A stored question: put to the model exactly as it was asked, or its stored answer read by the checks of today."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha256
from typing import Any

from research.llm import client, conversation
from research.llm.budget import CallDraft, CallOutcome, Ledger, StoredAnswer
from research.llm.checks import check_decision, check_view
from research.llm.conversation import Question
from research.llm.prompts import Prompt
from research.llm.schema import Answer, AnswerRefused, DecisionAnswer, ViewAnswer, read_answer
from research.types import AnswerAgain, Failure, ModelCallRecord, ModelSettings

KINDS: dict[str, type[Answer]] = {kind.__name__: kind for kind in (ViewAnswer, DecisionAnswer)}
# What the endpoint did, and no check of ours said: reading the stored text again cannot change it.
OF_THE_CALL = ("model_error", "model_timeout", "model_refused", "answer_truncated", "answer_too_large")
_DATA = re.compile(r"<data>\n(.*)\n</data>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Unremembered:
    """A ledger whose calls are paid and kept, but neither answered by an older call nor the answer of a later one."""

    ledger: Ledger
    name: str

    def stored_answer(self, cache_key: str) -> StoredAnswer | None:
        return None

    def is_interrupted(self) -> bool:
        return self.ledger.is_interrupted()

    def open(self, draft: CallDraft) -> int:
        key = sha256(f"{self.name} {draft.cache_key}".encode()).hexdigest()
        return self.ledger.open(replace(draft, cache_key=key))

    def close(self, call_id: int, outcome: CallOutcome) -> None:
        self.ledger.close(call_id, outcome)


def ask_again(
    record: ModelCallRecord, images: Mapping[str, bytes], settings: ModelSettings, ledger: Ledger, name: str
) -> AnswerAgain:
    """Put the question of `record` to its model again, with its own limits, and read the answer as ever.

    `images` are the pictures by their SHA-256; `settings` give the endpoint, the key, the time and the budgets; `name`
    keeps the answer apart from those that later questions may be answered with. ValueError says what is missing.
    """
    question = question_of(record, images)
    asked = replace(question, purpose=f"again {question.purpose}"[:54])
    reply = conversation.ask(asked, settings_of(record, settings), _Unremembered(ledger, name))
    document = reply.answer.model_dump(mode="json") if reply.answer else None
    return AnswerAgain(question.purpose, document, reply.failure, reply.calls)


def answer_again(record: ModelCallRecord, answer: ModelCallRecord | None = None) -> AnswerAgain:
    """The stored answer, read and checked by the code of today; `answer` is the call whose answer was taken, where it
    came after a repair. ValueError says what is missing."""
    question = question_of(record)
    told = answer or record
    code, _, detail = told.error.partition(": ")
    if code in OF_THE_CALL or not told.answer:
        return AnswerAgain(question.purpose, None, Failure(code or "model_error", detail or told.error or "no answer"))
    try:
        read, outside = read_answer(told.answer, question.kind)
        question.check(read, outside)
    except AnswerRefused as refused:
        return AnswerAgain(question.purpose, None, Failure(refused.code, refused.detail))
    return AnswerAgain(question.purpose, read.model_dump(mode="json"), None)


def endpoint_problem(record: ModelCallRecord, settings: ModelSettings) -> str:
    """Why the model of this call cannot be reached by these settings; empty where it can."""
    then, now = str(record.parameters.get("endpoint") or ""), settings.base_url or client.OPENAI_URL
    return "" if then == now else f"it was asked at {then or 'an unknown endpoint'}, and {now} is configured now"


def settings_of(record: ModelCallRecord, settings: ModelSettings) -> ModelSettings:
    """Today's way to the endpoint with the model, the temperature and the longest answer of that call."""
    asked = record.parameters
    return replace(
        settings,
        model=record.model,
        temperature=asked.get("temperature"),
        max_output_tokens=int(asked.get("max_completion_tokens") or settings.max_output_tokens),
    )


def question_of(record: ModelCallRecord, images: Mapping[str, bytes] | None = None) -> Question[Any]:
    """The question that was stored; without `images` one that can only be used to check an answer."""
    kind = KINDS.get(str(record.parameters.get("schema")))
    if kind is None:
        raise ValueError(f"the form of its answers, {record.parameters.get('schema')!r}, is not known any more")
    try:
        system, user = json.loads(record.request)
        data = dict(json.loads(_DATA.findall(user["content"][0]["text"])[0]))
        prompt = Prompt(record.prompt_name, record.prompt_version, str(system["content"]), record.prompt_hash)
        check = _check(kind, data)
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        raise ValueError("the stored question is of another form than today's") from error
    if images is None:
        return Question(record.purpose, prompt, data, kind, check)
    question = Question(record.purpose, prompt, data, kind, check, _pictures(record, images))
    if not conversation.is_same(question, record.request):
        raise ValueError("the stored question cannot be put together exactly as it was asked")
    return question


def _pictures(record: ModelCallRecord, images: Mapping[str, bytes]) -> tuple[bytes, ...]:
    missing = [digest for digest in record.images if sha256(images.get(digest, b"")).hexdigest() != digest]
    if missing:
        raise ValueError(f"the picture {missing[0][:12]} that it showed is not kept any more")
    return tuple(images[digest] for digest in record.images)


def _check(kind: type[Answer], data: Mapping[str, Any]) -> Callable[[Any, str], None]:
    """What an answer to this question must fulfil, from what stood in the question itself."""
    symbol = str(data["code"])
    if kind is DecisionAnswer:
        quote, used, known = Decimal(str(data["quote"])), str(data["strategy_used"]), list(data["evidence_ids"])
        return lambda answer, outside: check_decision(
            answer, outside, symbol=symbol, quote=quote, strategy_used=used, evidence=known
        )
    last = data["analyses"][0]["last_close"] if "analyses" in data else data["last_bars"]["close"][-1]
    close = None if last is None else float(last)
    return lambda answer, outside: check_view(answer, outside, symbol, close)
