"""Asking a model again what it was asked for a decision: wished for by a person, done by a worker, and never an order.

What is asked and answered stands in the audit log and in the stored calls. Nothing here, nor in what it calls, knows of
orders: the decision stays as it is, whatever the model says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import transaction
from django_q.tasks import async_task

from autotrader.core import audit
from autotrader.core.artifacts.models import Artifact
from autotrader.core.artifacts.services import artifact_read
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import AlreadyDone, Conflict
from trading.models import Decision
from trading.selectors.second_looks import AskedAgain, asked_again, open_wishes, question_calls

PERMISSION = "trading.run_cycle"
REASK_TASK = "trading.tasks.reask"


def reask_problem(decision: Decision) -> str:
    """Why the model cannot be asked again about this decision; empty where it can."""
    if not question_calls(decision):
        return f"No model was asked: {decision.decided_by} decided."
    if not settings.AUTOTRADER_AI_MODEL:
        return "No model is configured (AUTOTRADER_AI_MODEL or OPENAI_MODEL)."
    if any(row.waits for row in asked_again(decision.pk)):
        return "The model is being asked again already; its answer comes here."
    if open_wishes(system_now()):
        # Each holds a worker for as long as the model takes, and the workers have the orders to watch.
        return "The model is being asked again about another decision; ask when that has ended."
    return ""


def reask_queue(decision: Decision, *, actor: str, key: str) -> str:
    """Wish for it: the event and one task; the correlation id of what comes of it.

    The same `key` (hexadecimal, from the form) is the same wish and asks nothing twice. Raises Conflict with the reason
    where it cannot be asked.
    """
    correlation = f"{decision.execution.correlation_id[:50]}.{key[:12]}"
    calls = [call.call_id for call, _ in question_calls(decision)]
    try:
        with audit.acting(actor=actor, correlation_id=correlation), audit.recording():
            _one_at_a_time()
            mine = [row for row in asked_again(decision.pk) if row.correlation_id == correlation]
            if mine:
                if mine[0].is_late(system_now()):
                    _enqueue(correlation)  # its task may be lost; delivered twice it asks once
                return correlation
            problem = reask_problem(decision)
            if problem:
                raise Conflict(problem)
            _record(decision, EventType.DECISION_ASKED_AGAIN, {"calls": calls})
            _enqueue(correlation)
    except AlreadyDone:
        pass  # two presses of one form at the same moment
    return correlation


def _one_at_a_time() -> None:
    """Until the transaction ends nobody else wishes: the first decision of all is the lock."""
    Decision.objects.select_for_update(no_key=True).order_by("pk").first()


def _enqueue(correlation: str) -> None:
    transaction.on_commit(lambda: async_task(REASK_TASK, correlation, cluster="work"))


def reask_begin(decision: Decision, correlation: str) -> bool:
    """Claim the work, once for all workers and deliveries; False where somebody has or had it."""
    try:
        with audit.acting(actor="reask", correlation_id=correlation), audit.recording():
            _record(decision, EventType.DECISION_ASKING_AGAIN, {})
    except AlreadyDone:
        return False
    return True


def reask_end(decision: Decision, row: AskedAgain, document: Mapping[str, Any], cause: str) -> None:
    """Write down what was answered; a second end of the same wish is nothing."""
    try:
        with audit.acting(actor="reask", correlation_id=row.correlation_id), audit.recording():
            _record(decision, EventType.DECISION_ANSWERED_AGAIN, document, cause)
    except AlreadyDone:
        pass


def pictures(digests: set[str]) -> dict[str, bytes]:
    """The kept pictures with these SHA-256; one whose file is gone is left out."""
    found: dict[str, bytes] = {}
    for row in Artifact.objects.filter(sha256__in=digests, media_type__startswith="image/"):
        try:
            found[row.sha256] = artifact_read(row)
        except OSError:
            continue
    return found


def _record(decision: Decision, kind: EventType, document: Mapping[str, Any], cause: str = "") -> None:
    audit.record(
        kind,
        f"decision:{decision.pk}",
        version=1,
        account=decision.account_id,
        cause=cause,
        market_at=decision.market_at,
        document={"instrument": decision.instrument_id, **document},
    )
