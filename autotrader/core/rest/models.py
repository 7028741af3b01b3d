"""What was answered to an unsafe request, so that the same request again is told the same."""

from __future__ import annotations

from django.db import models


class KeptAnswer(models.Model):
    """One Idempotency-Key of one client: the request it stands for, and its answer once there is one.

    `body_hash` is the SHA-256 of method, path and canonical body; `status` is 0 while the request is worked on.
    """

    client = models.CharField(max_length=80, help_text="user:<name> or key:<prefix>.")
    key = models.CharField(max_length=80)
    method = models.CharField(max_length=6)
    path = models.CharField(max_length=200)
    body_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    body = models.TextField(blank=True, help_text="The answer as it was sent.")
    correlation_id = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_index=True, help_text="Since when it is worked on, then kept.")

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["client", "key"], name="kept_answer_once")]

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.key}"
