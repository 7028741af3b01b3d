"""App configurations of the site: the admin and the wiring."""

from __future__ import annotations

import os
import sys

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class DeskAdminConfig(AdminConfig):
    """Django's admin with a site of our own in the place of Unfold's."""

    def ready(self) -> None:
        """Before the admin modules register with it."""
        from django.contrib import admin
        from django.contrib.admin import sites

        from autotrader.core.admin_site import DeskAdminSite

        admin.site = sites.site = DeskAdminSite()
        super().ready()


class SiteConfig(AppConfig):
    name = "autotrader"
    label = "site"
    verbose_name = "AutoTrader"

    def ready(self) -> None:
        """Join the packages once every app is loaded; a worker also shows that it lives."""
        from autotrader import wiring
        from autotrader.core.ops import slow_queries

        wiring.connect()
        slow_queries.connect()
        if os.environ.get("AUTOTRADER_PROCESS_ROLE") == "worker":
            from autotrader.core.ops import beats, heartbeat

            heartbeat.connect()
            if sys.argv[1:2] == ["qcluster"]:  # a command that is run beside the cluster is no sign of its life
                beats.start(heartbeat.cluster_name())
