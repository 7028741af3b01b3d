"""What is done to strategies from their list: run, enable, disable, copy; each after one question, by its service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from autotrader.core.errors import AutoTraderError
from trading.admin.kit_confirm import Answer, Line, Question, carry_out, chosen, confirmed
from trading.models import Cycle, Strategy
from trading.services.strategy_presses import cycle_press, strategy_copy
from trading.services.strategy_settings import LOOSEN_PERMISSION, strategy_change

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


def asked_about(
    model_admin: Any, request: HttpRequest, question: Question, rows: Sequence[Strategy]
) -> dict[str, Any] | HttpResponse:
    """The person's yes, or the page that asks; the versions that it shows come back with the yes."""
    lines = [Line(row, row.name, _now(row), {f"seen-{row.pk}": row.version}) for row in rows]
    return confirmed(model_admin, request, question, lines)


def switch(model_admin: Any, request: HttpRequest, rows: QuerySet[Strategy], *, enabled: bool) -> HttpResponse | None:
    """Enable or disable the chosen ones, over the versions that were shown."""

    def do(row: Strategy, _key: UUID) -> Answer:
        strategy_change(
            row.pk,
            {"enabled": enabled},
            actor=request.user.get_username(),
            may_loosen=request.user.has_perm(LOOSEN_PERMISSION),
            version=_seen(request, row),
        )
        return messages.SUCCESS, f"{row} is {'enabled' if enabled else 'disabled'}."

    return _each(model_admin, request, ENABLE if enabled else DISABLE, rows, do)


def run(model_admin: Any, request: HttpRequest, rows: QuerySet[Strategy]) -> Cycle | HttpResponse | None:
    """One cycle over the chosen ones, at the versions that were shown; None where it was refused, which is said."""
    found = chosen(request, rows)
    if not found:
        return None
    said = asked_about(model_admin, request, RUN, found)
    if isinstance(said, HttpResponse):
        return said
    return pressed(request, {row.pk: _seen(request, row) for row in found}, said["key"])


def pressed(request: HttpRequest, seen: Mapping[int, int], key: UUID) -> Cycle | None:
    """The cycle that this form starts, or has started; None where it was refused, which is said."""
    try:
        cycle = cycle_press(seen, key=key, actor=request.user.get_username())
    except AutoTraderError as error:
        messages.error(request, error.message)
        return None
    messages.success(request, f"Cycle {cycle.pk} is queued; a worker takes it up.")
    return cycle


def copy(model_admin: Any, request: HttpRequest, rows: QuerySet[Strategy]) -> HttpResponse | None:
    """Make a disabled copy of each under a name of its own; what this person may not loosen asks for approval there."""
    may_loosen = request.user.has_perm(LOOSEN_PERMISSION)

    def do(row: Strategy, key: UUID) -> Answer:
        made = strategy_copy(
            row.pk, version=_seen(request, row), key=key, actor=request.user.get_username(), may_loosen=may_loosen
        )
        return messages.SUCCESS, f"{made} is a copy of {row}: disabled, in the mode {made.mode}."

    return _each(model_admin, request, COPY, rows, do)


def _each(
    model_admin: Any,
    request: HttpRequest,
    question: Question,
    rows: QuerySet[Strategy],
    do: Callable[[Strategy, UUID], Answer],
) -> HttpResponse | None:
    found = chosen(request, rows)
    if not found:
        return None
    said = asked_about(model_admin, request, question, found)
    if isinstance(said, HttpResponse):
        return said
    carry_out(request, found, lambda row: do(row, said["key"]))
    return None


def _now(row: Strategy) -> str:
    state = "enabled" if row.enabled else "disabled"
    return f"{state}, {'suspended, ' if row.suspended_at else ''}mode {row.mode}, version {row.version}"


def _seen(request: HttpRequest, row: Strategy) -> int:
    """The version that the page showed; 0, which no row has, where it was not told."""
    text = request.POST.get(f"seen-{row.pk}", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
