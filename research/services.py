"""The ledger of model calls in the database: money first, then the row, then the call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Round

from autotrader.core.clock import system_now
from autotrader.core.ops.crashpoints import crashpoint
from research.llm.budget import BudgetExhausted, CallDraft, CallOutcome, StoredAnswer
from research.models import ModelBudget, ModelCall
from research.types import ModelCallRecord


@dataclass(frozen=True, slots=True)
class DatabaseLedger:
    """Keeps each call as a row and its money in the scopes of the day (UTC) and of the cycle."""

    correlation_id: str
    cycle: str
    limit_per_day: Decimal
    limit_per_cycle: Decimal | None

    def stored_answer(self, cache_key: str) -> StoredAnswer | None:
        """The valid answer that the same question got before."""
        call = ModelCall.objects.filter(cache_key=cache_key, state=ModelCall.State.DONE).order_by("-id").first()
        if call is None:
            return None
        return StoredAnswer(call.pk, call.answer, call.finish_reason, call.tokens_in, call.tokens_out)

    def is_interrupted(self) -> bool:
        """Whether a question of the same work is still OPEN: who asked it has died, or was replaced, before it had an
        answer. The questions of one work are asked one after another."""
        asked = ModelCall.objects.filter(correlation_id=self.correlation_id, state=ModelCall.State.OPEN)
        return bool(self.correlation_id) and asked.exists()

    def open(self, draft: CallDraft) -> int:
        """Commit the money and the OPEN row, before the first byte is sent; BudgetExhausted names the scope."""
        now = system_now()
        with transaction.atomic():
            for scope, limit in self._limits(now):
                _reserve(scope, draft.reserved, limit)
            call = ModelCall.objects.create(
                correlation_id=self.correlation_id,
                cycle=self.cycle,
                purpose=draft.purpose,
                prompt_name=draft.prompt.name,
                prompt_version=draft.prompt.version,
                prompt_hash=draft.prompt.sha256,
                model=draft.model,
                parameters=dict(draft.parameters),
                input_hashes=dict(draft.input_hashes),
                images=list(draft.images),
                request=draft.request,
                reserved=draft.reserved,
                cache_key=draft.cache_key,
                created_at=now,
            )
            crashpoint("model_open_committing")
        crashpoint("model_open_committed")
        return int(call.pk)

    def close(self, call_id: int, outcome: CallOutcome) -> None:
        """Store the outcome once and give back what was reserved too much; closing twice changes nothing."""
        with transaction.atomic():
            closed = ModelCall.objects.filter(pk=call_id, state=ModelCall.State.OPEN).update(
                state=ModelCall.State.FAILED if outcome.error else ModelCall.State.DONE,
                answer=outcome.answer.replace("\x00", "\ufffd"),
                finish_reason=outcome.finish_reason[:40],
                tokens_in=outcome.tokens_in,
                tokens_out=outcome.tokens_out,
                cost=outcome.cost,
                latency_ms=outcome.latency_ms,
                error=outcome.error.replace("\x00", "\ufffd"),
                parameters=dict(outcome.parameters),
                finished_at=system_now(),
            )
            if closed:
                call = ModelCall.objects.get(pk=call_id)
                for scope, _ in self._limits(call.created_at):
                    ModelBudget.objects.filter(scope=scope).update(committed=_plus(outcome.cost - call.reserved))
            crashpoint("model_close_committing")
        crashpoint("model_close_committed")

    def _limits(self, moment: datetime) -> list[tuple[str, Decimal]]:
        limits = [(f"day:{moment:%Y-%m-%d}", self.limit_per_day)]
        if self.cycle and self.limit_per_cycle is not None:
            limits.append((f"cycle:{self.cycle}", self.limit_per_cycle))
        return limits


def committed(scope: str) -> Decimal:
    """The money spent and reserved in a scope."""
    found = ModelBudget.objects.filter(scope=scope).values_list("committed", flat=True).first()
    return found if found is not None else Decimal(0)


def records(ids: Iterable[int]) -> list[ModelCallRecord]:
    """The stored calls of these ids, oldest first."""
    return [_record(call) for call in ModelCall.objects.filter(pk__in=list(ids)).order_by("id")]


def _reserve(scope: str, amount: Decimal, limit: Decimal) -> None:
    """One conditional UPDATE, so that however many ask at once the limit holds."""
    ModelBudget.objects.get_or_create(scope=scope)
    room = ModelBudget.objects.filter(scope=scope, committed__lte=limit - amount)
    if amount > limit or not room.update(committed=_plus(amount)):
        raise BudgetExhausted(f"{amount} USD more would pass the budget of {limit} USD for {scope}")


def _plus(amount: Decimal) -> Round:
    """The sum at the places that are stored: SQLite adds in binary, and its crumbs must not pile up."""
    return Round(F("committed") + amount, precision=4)


def _record(call: ModelCall) -> ModelCallRecord:
    return ModelCallRecord(
        purpose=call.purpose,
        prompt_name=call.prompt_name,
        prompt_version=call.prompt_version,
        prompt_hash=call.prompt_hash,
        model=call.model,
        parameters=call.parameters,
        input_hashes=call.input_hashes,
        images=tuple(call.images),
        request=call.request,
        answer=call.answer,
        tokens_in=call.tokens_in,
        tokens_out=call.tokens_out,
        cost=call.cost,
        latency_ms=call.latency_ms,
        finish_reason=call.finish_reason,
        error="the call was never closed" if call.state == ModelCall.State.OPEN else call.error,
        call_id=call.pk,
    )
