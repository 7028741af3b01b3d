"""Publishing workflow versions; a published one never changes."""

from __future__ import annotations

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict
from trading.models import Workflow, WorkflowVersion


def workflow_version_add(workflow: Workflow, steps: list[dict[str, object]]) -> WorkflowVersion:
    """The workflow's next version, unpublished. The caller has validated `steps`."""
    with audit.recording():
        last = workflow.versions.order_by("number").last()
        return WorkflowVersion.objects.create(workflow=workflow, number=(last.number if last else 0) + 1, steps=steps)


def workflow_publish(version: WorkflowVersion, *, actor: str) -> WorkflowVersion:
    """Make the version runnable and immutable. The caller has validated its steps. Raises Conflict if it already is."""
    with audit.acting(actor=actor), audit.recording():
        done = WorkflowVersion.objects.filter(pk=version.pk, published_at=None).update(
            published_at=system_now(), published_by=actor
        )
        if done != 1:
            raise Conflict(f"{version} is already published; add a new version instead.")
        version.refresh_from_db()
        audit.record(
            EventType.WORKFLOW_PUBLISHED,
            f"workflow:{version.workflow_id}",
            version=version.number,
            document={"name": version.workflow.name, "steps": version.steps},
        )
    return version
