"""One pass over strategies, the work in it, and each step of that work."""

from __future__ import annotations

from django.db import models


class CycleState(models.TextChoices):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class ExecutionState(models.TextChoices):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


EXECUTION_ENDED = (ExecutionState.DONE, ExecutionState.FAILED, ExecutionState.CANCELLED)
CYCLE_ENDED = (CycleState.DONE, CycleState.FAILED, CycleState.CANCELLED)


class Cycle(models.Model):
    """One pass over one or more strategies."""

    trigger = models.CharField(
        max_length=10, choices=[("schedule", "Schedule"), ("manual", "Manual"), ("command", "Command"), ("api", "API")]
    )
    state = models.CharField(max_length=10, choices=CycleState, default=CycleState.QUEUED)
    version = models.PositiveIntegerField(default=1)
    account = models.ForeignKey("trading.Account", null=True, blank=True, on_delete=models.PROTECT)
    dry_run = models.BooleanField(default=False)
    as_of = models.DateField(null=True, blank=True)
    requested_by = models.CharField(max_length=80)
    correlation_id = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    market_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"cycle {self.pk}"


class WorkflowExecution(models.Model):
    """One strategy on one instrument inside a cycle: the claimable row of work.

    `epoch` grows with each claim; a worker whose epoch is no longer the row's writes nothing more.
    `lease_until` and `due_at` are compared with the database's clock.
    """

    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, related_name="executions")
    strategy = models.ForeignKey("trading.Strategy", on_delete=models.PROTECT, related_name="executions")
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT, related_name="executions")
    workflow_version = models.ForeignKey("trading.WorkflowVersion", on_delete=models.PROTECT)
    account = models.ForeignKey("trading.Account", null=True, blank=True, on_delete=models.PROTECT)
    lane = models.CharField(max_length=10, default="work")
    state = models.CharField(max_length=10, choices=ExecutionState, default=ExecutionState.QUEUED)
    version = models.PositiveIntegerField(default=1)
    priority = models.SmallIntegerField(default=0)
    epoch = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=80, blank=True)
    next_step = models.PositiveSmallIntegerField(default=0)
    delayed_step = models.PositiveSmallIntegerField(null=True, blank=True, help_text="The step whose delay was served.")
    outcome = models.CharField(max_length=20, blank=True, help_text="What it came to, e.g. hold, refused, ordered.")
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["cycle", "strategy", "instrument"], name="execution_once_per_cycle")
        ]
        indexes = [
            models.Index(
                fields=["lane", "-priority", "id"],
                name="execution_claimable",
                condition=models.Q(state__in=["QUEUED", "WAITING", "RUNNING"]),
            )
        ]

    def __str__(self) -> str:
        return f"execution {self.pk}"

    @property
    def correlation_id(self) -> str:
        """Joins everything this execution caused; begins with its cycle's."""
        return correlation_of_execution(self.cycle.correlation_id, self.pk)


def correlation_of_execution(cycle: str, pk: int) -> str:
    """An execution's correlation id, of its cycle's and its own id."""
    return f"{cycle}.{pk}"


class StepRun(models.Model):
    """One step of an execution; committed once, never rewritten. `output` holds ids and small values."""

    execution = models.ForeignKey(WorkflowExecution, on_delete=models.PROTECT, related_name="steps")
    index = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=40)
    state = models.CharField(max_length=10, choices=[("DONE", "Done"), ("FAILED", "Failed")])
    epoch = models.PositiveIntegerField()
    worker = models.CharField(max_length=80)
    input = models.JSONField(default=dict)
    output = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    ms = models.PositiveIntegerField()

    class Meta:
        ordering = ["execution", "index"]
        constraints = [models.UniqueConstraint(fields=["execution", "index"], name="step_once")]

    def __str__(self) -> str:
        return f"{self.index}. {self.name}"
