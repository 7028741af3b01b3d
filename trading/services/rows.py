"""Compare-and-swap on a row's version."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F

from autotrader.core.errors import Conflict


def swap(row: models.Model, **changes: Any) -> None:
    """Write `changes` and the next version if nobody wrote since `row` was read; raises Conflict otherwise."""
    version: int = row.version  # type: ignore[attr-defined]
    manager = type(row)._default_manager
    done = manager.filter(pk=row.pk, version=version).update(version=F("version") + 1, **changes)
    if done != 1:
        raise Conflict(f"{row._meta.verbose_name} {row.pk} changed meanwhile; read it again.")
    for name, value in changes.items():
        setattr(row, name, value)
    row.version = version + 1  # type: ignore[attr-defined]
