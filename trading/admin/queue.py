"""The queue's own tables: to be read; a task that failed can be sent again where it does nothing twice."""

from __future__ import annotations

from typing import Any
from uuid import uuid5

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django_q.models import Failure, OrmQ, Schedule, Success

from autotrader.core.admin_kit import HistoryAdmin
from trading.admin.kit_confirm import Answer, Line, Question, carry_out, chosen, confirmed
from trading.services.resubmits import PERMISSION, resubmit_problem, task_resubmit

SEND_AGAIN = Question(
    action="send_again",
    title="Send these tasks again?",
    button="Send again",
    warning="A task that would do something twice is refused with the reason. Rows of work wake by themselves within "
    "30 s; this only wakes them now.",
)

for queue_model in (Failure, OrmQ, Schedule, Success):
    if admin.site.is_registered(queue_model):
        admin.site.unregister(queue_model)


class FinishedTaskAdmin(HistoryAdmin):
    """Tasks that ended."""

    list_display: tuple[str, ...] = ("name", "func", "cluster", "started", "stopped", "took")
    list_filter = ("cluster", "func")
    search_fields = ("name", "func")
    ordering = ("-stopped",)

    @admin.display(description="Seconds")
    def took(self, task: Success) -> str:
        return f"{task.time_taken():.2f}"


@admin.register(Success)
class SuccessAdmin(FinishedTaskAdmin):
    """Tasks that ended well."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        return super().get_queryset(request).filter(success=True)


@admin.register(Failure)
class FailureAdmin(FinishedTaskAdmin):
    """Tasks that failed, with what they said."""

    list_display = (*FinishedTaskAdmin.list_display, "short_result")
    actions: Any = ("send_again",)

    def has_send_again_permission(self, request: HttpRequest) -> bool:
        """May this person have work done now?"""
        return request.user.has_perm(PERMISSION)

    @admin.action(description="Send again…", permissions=["send_again"])
    def send_again(self, request: HttpRequest, tasks: QuerySet[Failure]) -> HttpResponse | None:
        """Ask once more, then put each that may be repeated into its queue."""
        rows = chosen(request, tasks)
        if not rows:
            return None
        lines = [Line(row, f"{row.name}: {row.func}", resubmit_problem(row) or str(row.result)[:100]) for row in rows]
        said = confirmed(self, request, SEND_AGAIN, lines)
        if isinstance(said, HttpResponse):
            return said

        def do(row: Failure) -> Answer:
            key = uuid5(said["key"], row.pk).hex
            why = task_resubmit(row.pk, actor=request.user.get_username(), key=key)
            return messages.SUCCESS, f"{row.func} is in the queue again: {why}."

        carry_out(request, rows, do)
        return None

    @admin.display(description="Result")
    def short_result(self, task: Failure) -> str:
        return str(task.result)[:100]


@admin.register(Schedule)
class ScheduleAdmin(HistoryAdmin):
    """What runs by the clock."""

    list_display = ("name", "func", "schedule_type", "cron", "cluster", "next_run", "repeats")
    list_filter = ("schedule_type", "cluster")
    search_fields = ("name", "func")


@admin.register(OrmQ)
class OrmQAdmin(HistoryAdmin):
    """Tasks that wait for a worker."""

    list_display = ("id", "key", "name", "func", "lock")
    list_filter = ("key",)
    fields = ("key", "lock", "name", "func", "args", "kwargs")
