"""The log: text or JSON on stderr, and one JSON file a role below the state folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autotrader.settings import env
from autotrader.settings.files import make_folder

# What is written of every request, event and call: to the files, and to stderr where that is read by a program.
DETAILED = ("autotrader.requests", "autotrader.events", "autotrader.calls", "autotrader.queries")
QUIET = {
    "ib_insync": "CRITICAL",
    "django.request": "ERROR",
    "daphne": "WARNING",
    "django-q": "WARNING",
    "matplotlib": "WARNING",
    "httpx2": "WARNING",
    "openai": "WARNING",
}


def read(state: Path, role: str, secrets: Iterable[str]) -> dict[str, Any]:
    """Django's LOGGING for a process of this role. AUTOTRADER_LOG_DIR=none keeps no files."""
    level = env.choice("LOG_LEVEL", "info", ("debug", "info", "warning", "error")).upper()
    as_json = env.choice("AUTOTRADER_LOG_FORMAT", "text", ("text", "json")) == "json"
    folder = env.text("AUTOTRADER_LOG_DIR", str(state / "logs"))
    handlers: dict[str, Any] = {"stderr": {"class": "logging.StreamHandler", "formatter": "stderr"}}
    if folder != env.NEVER:
        handlers["file"] = _file(Path(folder), role)
    everywhere = list(handlers)
    detailed = [name for name in handlers if as_json or name == "file"]
    make = "autotrader.core.ops.logs.formatter"
    hidden = list(secrets)
    loggers: dict[str, Any] = {name: {"level": at} for name, at in QUIET.items()}
    loggers["django.request"]["filters"] = ["known"]
    loggers["django-q"] |= {"handlers": everywhere, "propagate": False}
    loggers |= {name: {"handlers": detailed, "level": level, "propagate": False} for name in DETAILED}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"known": {"()": "autotrader.core.ops.logs.Known"}},
        "formatters": {
            "stderr": {"()": make, "as_json": as_json, "secrets": hidden},
            "file": {"()": make, "as_json": True, "secrets": hidden},
        },
        "handlers": handlers,
        "root": {"handlers": everywhere, "level": level},
        "loggers": loggers,
    }


def _file(folder: Path, role: str) -> dict[str, Any]:
    """A file that is followed when another process has moved it aside; written by all processes of a role."""
    make_folder(folder)
    path = folder / f"{role}.jsonl"
    return {"class": "logging.handlers.WatchedFileHandler", "filename": str(path), "formatter": "file", "delay": True}
