"""Named recipes and their immutable versions."""

from __future__ import annotations

from django.db import models


class Workflow(models.Model):
    """A named recipe; what runs is always one of its versions."""

    name = models.CharField(max_length=80, unique=True)
    description = models.TextField(blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class WorkflowVersion(models.Model):
    """A numbered list of steps; once published it never changes, and only then may it run.

    `steps`: `[{"name": "fetch_data", "parameters": {…}, "delay_s": 0}, …]`.
    """

    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    steps = models.JSONField()
    published_at = models.DateTimeField(null=True, blank=True)
    published_by = models.CharField(max_length=80, blank=True)

    class Meta:
        ordering = ["workflow", "-number"]
        constraints = [models.UniqueConstraint(fields=["workflow", "number"], name="workflow_version_once")]

    def __str__(self) -> str:
        return f"{self.workflow} v{self.number}"
