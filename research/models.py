"""What research keeps: every paid call to a model, and the money committed to such calls."""

from __future__ import annotations

from django.db import models

from autotrader.core.money import money_field


class ModelCall(models.Model):
    """One question to a model, from before it is sent; a row still OPEN counts as spent."""

    class State(models.TextChoices):
        OPEN = "OPEN"
        DONE = "DONE"
        FAILED = "FAILED"

    correlation_id = models.CharField(max_length=64, blank=True, db_index=True)
    cycle = models.CharField(max_length=64, blank=True)
    purpose = models.CharField(max_length=64)
    prompt_name = models.CharField(max_length=40)
    prompt_version = models.CharField(max_length=20)
    prompt_hash = models.CharField(max_length=64)
    model = models.CharField(max_length=120)
    parameters = models.JSONField(default=dict)
    input_hashes = models.JSONField(default=dict)
    images = models.JSONField(default=list, help_text="SHA-256 of each image, in the order shown")
    request = models.TextField(help_text="the messages as JSON, each image as its SHA-256")
    answer = models.TextField(blank=True)
    finish_reason = models.CharField(max_length=40, blank=True)
    tokens_in = models.PositiveIntegerField(default=0)
    tokens_out = models.PositiveIntegerField(default=0)
    reserved = money_field(default=0)
    cost = money_field(default=0)
    latency_ms = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    error = models.TextField(blank=True)
    cache_key = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["cache_key", "state"], name="model_call_cache")]

    def __str__(self) -> str:
        return f"{self.purpose} #{self.pk}"


class ModelBudget(models.Model):
    """The money committed in one scope, `day:2019-06-03` or `cycle:<id>`: what was spent and what is reserved."""

    scope = models.CharField(max_length=80, unique=True)
    committed = money_field(default=0)

    class Meta:
        ordering = ["-id"]
        constraints = [models.CheckConstraint(condition=models.Q(committed__gte=0), name="model_budget_not_negative")]

    def __str__(self) -> str:
        return f"{self.scope}: {self.committed}"
