"""The rows of the audit log."""

from __future__ import annotations

from django.db import models

GENESIS = "0" * 64


class AuditHead(models.Model):
    """One row: the last sequence number and hash. Locked last by every writer, so `seq` is the order of commits."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default=GENESIS)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="audit_head_single")]

    def __str__(self) -> str:
        return f"head {self.seq}"


class Event(models.Model):
    """One thing that happened. `document` is canonical JSON text, so that the hash can be recomputed byte by byte."""

    seq = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField(help_text="The system's time.")
    market_at = models.DateTimeField(null=True, help_text="The market's time, which a replay sets.")
    type = models.CharField(max_length=40)
    account = models.CharField(max_length=40, blank=True)
    actor = models.CharField(max_length=80)
    correlation_id = models.CharField(max_length=64)
    subject = models.CharField(max_length=80)
    subject_version = models.BigIntegerField(null=True)
    old_state = models.CharField(max_length=30, blank=True)
    new_state = models.CharField(max_length=30, blank=True)
    cause = models.TextField(blank=True)
    document = models.TextField(default="{}")
    quarantined = models.BooleanField(default=False, help_text="The document was not JSON-safe and is kept as text.")
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["-seq"]
        constraints = [
            models.UniqueConstraint(
                fields=["correlation_id", "type", "subject", "subject_version"], name="audit_event_once"
            )
        ]
        indexes = [
            models.Index(fields=["subject", "seq"], name="audit_event_subject"),
            models.Index(fields=["correlation_id", "seq"], name="audit_event_correlation"),
            models.Index(fields=["type", "seq"], name="audit_event_type"),
            models.Index(fields=["account", "seq"], name="audit_event_account"),
            models.Index(fields=["actor", "seq"], name="audit_event_actor"),
            models.Index(fields=["at", "seq"], name="audit_event_at"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.type} {self.subject}"
