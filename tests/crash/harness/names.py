"""The operations by name, for whoever must not load Django."""

from __future__ import annotations

OPERATIONS = ("cycle-bracket", "cycle-exit")
