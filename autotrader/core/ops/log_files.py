"""The log's files: moved aside when they have grown, so that no disk fills with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LARGEST = 64 * 1024 * 1024  # bytes; one older file of each role is kept


def log_folder(logging: dict[str, Any]) -> Path | None:
    """Where Django's LOGGING keeps files; None where it keeps none."""
    handler = logging["handlers"].get("file")
    return Path(handler["filename"]).parent if handler else None


def rotate(folder: Path, *, largest: int = LARGEST) -> list[Path]:
    """Move each file that is too large to "<name>.1", over an older one; every process follows at its next line."""
    moved = []
    for path in sorted(folder.glob("*.jsonl")):
        if path.stat().st_size > largest:
            path.replace(path.with_name(f"{path.name}.1"))
            moved.append(path)
    return moved
