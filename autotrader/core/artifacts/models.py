"""A row per stored object; the bytes lie in the file storage under their hash."""

from __future__ import annotations

from django.db import models


class Artifact(models.Model):
    """Immutable bytes, named by their SHA-256 and kind."""

    sha256 = models.CharField(max_length=64)
    kind = models.CharField(max_length=20)
    media_type = models.CharField(max_length=80)
    size = models.BigIntegerField()
    path = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sha256", "kind"], name="artifact_once")]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.sha256[:12]}"
