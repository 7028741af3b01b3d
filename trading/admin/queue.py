"""The queue's own tables; tasks only wake workers, so there is nothing to change here."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django_q.models import Failure, OrmQ, Schedule, Success

from autotrader.core.admin_kit import HistoryAdmin

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
