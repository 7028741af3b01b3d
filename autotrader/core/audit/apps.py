"""App configuration of the audit log."""

from __future__ import annotations

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "autotrader.core.audit"
    label = "audit"
    verbose_name = "Audit"
