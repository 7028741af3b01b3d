"""The operations by name, for whoever must not load Django."""

from __future__ import annotations

OPERATIONS = (
    "cycle-bracket",
    "cycle-exit",
    "request-mkt",
    "request-lmt",
    "request-bracket",
    "request-modify",
    "request-cancel",
    "request-exit",
    "approve-bracket",
    "approve-exit",
    "approve-ask",
    "cycle-model",
)
