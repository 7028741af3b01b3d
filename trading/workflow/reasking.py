"""A worker asks the model again what it was asked for a decision, and writes both answers down beside each other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from autotrader.core.clock import system_now
from research import facade
from research.types import AnswerAgain, Failure, ModelCallRecord, ModelSettings
from trading.models import Decision
from trading.selectors.second_looks import LONGEST, Question, asked_by, question_calls
from trading.services.reask import pictures, reask_begin, reask_end
from trading.workflow.analysts import model_settings

# All questions together; the queue ends a task after 150 s.
TOGETHER_S = 130.0
LEAST_S = 1.0
FIELDS = ("type", "target_price", "stop_loss", "confidence", "direction", "strength", "supports", "resistances")
TEXTS = ("rationale", "summary")
LONGEST_TEXT = 2000


def reask_run(correlation_id: str) -> None:
    """Ask every question of the wish with this correlation id again. Delivered twice it asks once."""
    found = asked_by(correlation_id)
    if found is None or found[1].ended_at is not None:
        return
    pk, row = found
    decision = Decision.objects.select_related("execution__cycle").get(pk=pk)
    if row.began_at is None and not row.is_open(system_now(), LONGEST):
        reask_end(decision, row, {"answers": []}, "it waited too long for a worker; nothing was asked")
        return
    if not reask_begin(decision, correlation_id):
        if not row.is_open(system_now(), LONGEST):
            reask_end(
                decision, row, {"answers": []}, "the process ended while the model was asked; it is not asked again"
            )
        return
    settings, questions = model_settings(), question_calls(decision)
    if settings is None:
        reask_end(decision, row, {"answers": []}, "no model is configured any more")
        return
    answers, cost = _ask_all(questions, settings, correlation_id)
    reask_end(decision, row, {"answers": answers, "cost": str(cost)}, _sentence(answers))


def _ask_all(
    questions: list[Question], settings: ModelSettings, correlation_id: str
) -> tuple[list[dict[str, Any]], Decimal]:
    """Each question for itself: one that fails keeps no other back, and none is asked beyond the time for all."""
    shown = pictures({digest for record, _ in questions for digest in record.images})
    until, answers, cost = time.monotonic() + TOGETHER_S, [], Decimal(0)
    for record, told in questions:
        left = until - time.monotonic()
        now = _ask(record, shown, replace(settings, timeout_s=min(settings.timeout_s, left)), correlation_id, left)
        answers.append(_beside(_then(record, told), now))
        cost += sum((call.cost for call in now.calls), Decimal(0))
    return answers, cost


def _ask(
    record: ModelCallRecord, shown: Mapping[str, bytes], settings: ModelSettings, correlation_id: str, left: float
) -> AnswerAgain:
    if left < LEAST_S:
        return AnswerAgain(record.purpose, None, Failure("not_asked", "the time for all questions was over"))
    try:
        return facade.ask_again(record, shown, settings, correlation_id=correlation_id)
    except ValueError as error:
        return AnswerAgain(record.purpose, None, Failure("not_asked", str(error)))


def _then(record: ModelCallRecord, told: ModelCallRecord) -> AnswerAgain:
    """What was answered at the time, as it is read today."""
    try:
        return facade.answer_again(record, told)
    except ValueError as error:
        return AnswerAgain(record.purpose, None, Failure("not_readable", str(error)))


def _beside(then: AnswerAgain, now: AnswerAgain) -> dict[str, Any]:
    """Both answers to one question, and the names of the fields that differ."""
    first, again = _facts(then), _facts(now)
    same = then.document is not None and now.document is not None
    changed = [name for name in FIELDS if first.get(name) != again.get(name)] if same else []
    return {
        "purpose": then.purpose,
        "then": first,
        "now": again,
        "then_failure": _failure(then),
        "now_failure": _failure(now),
        "changed": changed,
        "compared": same,
        "calls": [call.call_id for call in now.calls],
    }


def _facts(answer: AnswerAgain) -> dict[str, Any]:
    told = answer.document or {}
    facts = {name: told[name] for name in FIELDS if name in told}
    text = next((str(told[name]) for name in TEXTS if name in told), "")
    return facts | {"text": text[:LONGEST_TEXT]}


def _failure(answer: AnswerAgain) -> str:
    return f"{answer.failure.code}: {answer.failure.detail}" if answer.failure else ""


def _sentence(answers: list[dict[str, Any]]) -> str:
    """What the line of the event says of it."""
    failed = [answer for answer in answers if answer["now_failure"]]
    changed = [f"{answer['purpose']} ({', '.join(answer['changed'])})" for answer in answers if answer["changed"]]
    if failed:
        return f"{len(failed)} of {len(answers)} questions without an answer: {failed[0]['now_failure']}"
    return f"other answers: {'; '.join(changed)}" if changed else f"the same {len(answers)} answers"
