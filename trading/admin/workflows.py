"""Workflows and their versions; publishing one is an action, and a published one never changes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from autotrader.core.admin_kit import DeskAdmin, HistoryInline, link
from autotrader.core.errors import AutoTraderError
from autotrader.core.formats import badge
from trading.models import Workflow, WorkflowVersion
from trading.services.workflows import workflow_publish
from trading.workflow import spec


class VersionInline(HistoryInline):
    """The versions of a workflow."""

    model = WorkflowVersion
    fields = ("number", "published_at", "published_by")
    readonly_fields = fields


@admin.register(Workflow)
class WorkflowAdmin(DeskAdmin):
    """Named recipes."""

    list_display = ("name", "description")
    search_fields = ("name",)
    inlines = (VersionInline,)


@admin.register(WorkflowVersion)
class WorkflowVersionAdmin(DeskAdmin):
    """Numbered lists of steps: a draft may be changed, a published version may run."""

    list_display = ("__str__", "workflow_link", "number", "state", "step_names", "published_at", "published_by")
    list_filter = (("published_at", admin.EmptyFieldListFilter), "workflow")
    search_fields = ("workflow__name",)
    list_select_related = ("workflow",)
    fields = (("workflow", "number"), "steps", ("published_at", "published_by"))
    readonly_fields = ("published_at", "published_by")
    actions = ("publish",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.published_at is None)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.published_at is None)

    @admin.display(description="Workflow", ordering="workflow__name")
    def workflow_link(self, version: WorkflowVersion) -> SafeString:
        return link(version.workflow)

    @admin.display(description="State")
    def state(self, version: WorkflowVersion) -> SafeString:
        return badge("DONE", "published") if version.published_at else badge("plain", "draft")

    @admin.display(description="Steps")
    def step_names(self, version: WorkflowVersion) -> str:
        return " → ".join(str(step.get("name", "?")) for step in version.steps if isinstance(step, dict))

    @admin.action(description="Publish: it may run, and never changes again", permissions=["change"])
    def publish(self, request: HttpRequest, versions: QuerySet[WorkflowVersion]) -> None:
        """Check the steps, then publish; each version is answered for itself."""
        for version in versions.select_related("workflow"):
            try:
                spec.validate(version.steps)
                workflow_publish(version, actor=request.user.get_username())
            except AutoTraderError as error:
                self.message_user(request, f"{version}: {error.message}", messages.ERROR)
            else:
                self.message_user(request, f"{version} is published.", messages.SUCCESS)
