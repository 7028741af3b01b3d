"""A task cluster's sign of life: each finished task touches a file; without one while tasks wait, it is stalled."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django_q.models import OrmQ
from django_q.signals import post_execute

from autotrader.core.clock import system_now

# Longer than any task may run, so that a busy cluster is never taken for a frozen one.
SILENCE = settings.Q_CLUSTER["timeout"] + 30


def heartbeat_path(cluster: str) -> Path:
    """The file whose time of change is the last sign of life."""
    path: Path = settings.AUTOTRADER_STATE_DIR / f"heartbeat-{cluster}"
    return path


def connect() -> None:
    """In a worker: touch the file whenever the cluster has taken, run and settled a task."""
    post_execute.connect(_beat, dispatch_uid="heartbeat")


def _beat(**arguments: Any) -> None:
    heartbeat_path(cluster_name()).touch()


def cluster_name() -> str:
    """The cluster that this process belongs to."""
    return str(os.environ.get("Q_CLUSTER_NAME", settings.Q_CLUSTER["name"]))


def stalled(cluster: str, running_for: float, *, silence: float = SILENCE) -> str:
    """Why the cluster must be restarted, or "": no task finished while one has been waiting to be taken."""
    if running_for < silence or _age(heartbeat_path(cluster)) < silence:
        return ""
    try:
        waiting = OrmQ.objects.filter(key=cluster, lock__lte=system_now() - timedelta(seconds=silence)).exists()
    except DatabaseError:
        # Without a database no cluster can work, and restarting it would not help; the next look connects anew.
        connection.close()
        return ""
    return f"no task finished for {silence:g} s while tasks wait" if waiting else ""


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
