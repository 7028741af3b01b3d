"""App configuration of users."""

from __future__ import annotations

from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "autotrader.core.users"
    label = "users"
    verbose_name = "People"
