"""What is done to strategies from their list: run, enable, disable, copy; each after one question, by its service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from trading.admin.kit_confirm import Answer, Line, Question, carry_out, chosen, confirmed
from trading.models import Strategy
from trading.models.strategy import Mode
from trading.services.strategy_settings import FIELDS, LOOSEN_PERMISSION, strategy_change, strategy_create

RUN = Question(
    action="run_now",
    title="Run a cycle over these strategies now?",
    button="Run cycle now",
    warning="Strategies in the mode auto send their orders without asking anybody.",
)
ENABLE = Question(
    action="enable",
    title="Enable these strategies?",
    button="Enable",
    warning="They run by their schedule from now on.",
)
DISABLE = Question(
    action="disable",
    title="Disable these strategies?",
    button="Disable",
    warning="They start no cycle any more. Orders that work, and positions with their stops, stay as they are.",
)
COPY = Question(
    action="copy",
    title="Copy these strategies?",
    button="Copy",
    warning="Each copy is disabled, so that it can be changed before it runs.",
)
LONGEST_NAME = 80


def asked_about(
    model_admin: Any, request: HttpRequest, question: Question, rows: Sequence[Strategy]
) -> dict[str, Any] | HttpResponse:
    """The person's yes, or the page that asks; the versions that it shows come back with the yes."""
    lines = [Line(row, row.name, _now(row), {f"seen-{row.pk}": row.version}) for row in rows]
    return confirmed(model_admin, request, question, lines)


def switch(model_admin: Any, request: HttpRequest, rows: QuerySet[Strategy], *, enabled: bool) -> HttpResponse | None:
    """Enable or disable the chosen ones, over the versions that were shown."""

    def do(row: Strategy) -> Answer:
        strategy_change(
            row.pk,
            {"enabled": enabled},
            actor=request.user.get_username(),
            may_loosen=request.user.has_perm(LOOSEN_PERMISSION),
            version=_seen(request, row),
        )
        return messages.SUCCESS, f"{row} is {'enabled' if enabled else 'disabled'}."

    return _each(model_admin, request, ENABLE if enabled else DISABLE, rows, do)


def copy(model_admin: Any, request: HttpRequest, rows: QuerySet[Strategy]) -> HttpResponse | None:
    """Make a disabled copy of each under a name of its own; what this person may not loosen asks for approval there."""
    may_loosen = request.user.has_perm(LOOSEN_PERMISSION)

    def do(row: Strategy) -> Answer:
        values = _values(row) | {"name": _free_name(row.name), "enabled": False}
        if not may_loosen:
            guarded = {"mode": Mode.APPROVE if row.mode == Mode.AUTO else row.mode, "allow_short": False}
            values |= guarded
        made = strategy_create(values, actor=request.user.get_username(), may_loosen=may_loosen)
        return messages.SUCCESS, f"{made} is a copy of {row}: disabled, in the mode {made.mode}."

    return _each(model_admin, request, COPY, rows.prefetch_related("instruments"), do)


def _each(
    model_admin: Any, request: HttpRequest, question: Question, rows: QuerySet[Strategy], do: Any
) -> HttpResponse | None:
    found = chosen(request, rows)
    if not found:
        return None
    said = asked_about(model_admin, request, question, found)
    if isinstance(said, HttpResponse):
        return said
    carry_out(request, found, do)
    return None


def _now(row: Strategy) -> str:
    state = "enabled" if row.enabled else "disabled"
    return f"{state}, {'suspended, ' if row.suspended_at else ''}mode {row.mode}, version {row.version}"


def _seen(request: HttpRequest, row: Strategy) -> int:
    """The version that the page showed; 0, which no row has, where it was not told."""
    text = request.POST.get(f"seen-{row.pk}", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _values(row: Strategy) -> dict[str, Any]:
    """What `strategy_create` takes: references as ids."""
    values = {name: getattr(row, name) for name in FIELDS if name != "instruments"}
    ids = {"workflow_version": row.workflow_version_id, "risk_profile": row.risk_profile_id}
    return {**values, **ids, "instruments": [instrument.pk for instrument in row.instruments.all()]}


def _free_name(name: str) -> str:
    base = f"{name[: LONGEST_NAME - 10]} copy"
    taken = set(Strategy.objects.filter(name__startswith=base).values_list("name", flat=True))
    numbered = (f"{base} {number}" for number in range(2, len(taken) + 3))
    return next(free for free in (base, *numbered) if free not in taken)
