"""App configuration of artifacts."""

from __future__ import annotations

from django.apps import AppConfig


class ArtifactsConfig(AppConfig):
    name = "autotrader.core.artifacts"
    label = "artifacts"
    verbose_name = "Artifacts"
