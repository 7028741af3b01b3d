"""The app of the REST kit's own table."""

from __future__ import annotations

from django.apps import AppConfig


class RestConfig(AppConfig):
    name = "autotrader.core.rest"
    label = "rest"
    verbose_name = "API"
