"""How a line of the log is made: its context, without secrets, and never more than one line."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

import structlog

from autotrader.core import audit

Fields = MutableMapping[str, Any]
Render = Callable[[Any, str, Fields], str]
HIDDEN = "[hidden]"
SERVICE_UNAVAILABLE = 503
# Names of fields that are never written, whatever they hold.
SECRET_NAMES = re.compile(r"passw|secret|token|api_?key|authorization|cookie|credential|private", re.IGNORECASE)
# Keys of ours, of model providers, bearer tokens, and passwords inside addresses.
SECRET_SHAPES = (
    r"at_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{20,}",
    r"\bsk-[A-Za-z0-9_-]{16,}",
    r"(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{8,}",
    r"(?<=://)[^/\s:@\"]+:[^/\s@\"]+(?=@)",
)
SHORTEST_SECRET = 8
CONTROLS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
FIRST = ("timestamp", "level", "logger", "event")
BEHIND = ("exception", "stack")


class Known(logging.Filter):
    """Leaves out answers of 503: what is away is told once where that is noticed, and each request has its line."""

    def filter(self, record: logging.LogRecord) -> bool:
        return getattr(record, "status_code", 0) != SERVICE_UNAVAILABLE


def formatter(*, as_json: bool, secrets: Iterable[str]) -> structlog.stdlib.ProcessorFormatter:
    """The formatter of a handler; `secrets` are values that may stand in no line."""
    hide = _hiding(secrets)
    render = _as_json if as_json else _as_text
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _with_context,
            _without_secret_fields,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            lambda logger, name, fields: hide(render(fields)),
        ],
    )


def _with_context(logger: Any, name: str, fields: Fields) -> Fields:
    """Who acts and under which id, unless the line says so itself; which process."""
    acting = audit.current()
    if acting.correlation_id:
        fields.setdefault("correlation_id", acting.correlation_id)
        fields.setdefault("actor", acting.actor)
    fields["role"] = os.environ.get("AUTOTRADER_PROCESS_ROLE", "command")
    fields["pid"] = os.getpid()
    return fields


def _without_secret_fields(logger: Any, name: str, fields: Fields) -> Fields:
    for field in fields:
        if SECRET_NAMES.search(field):
            fields[field] = HIDDEN
    return fields


def _hiding(secrets: Iterable[str]) -> Callable[[str], str]:
    """Replaces every secret, written plainly or as JSON writes it."""
    known = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}
    written = known | {json.dumps(secret)[1:-1] for secret in known}
    longest_first = sorted(map(re.escape, written), key=len, reverse=True)
    pattern = re.compile("|".join((*longest_first, *SECRET_SHAPES)))
    return lambda line: pattern.sub(HIDDEN, line)


def _as_json(fields: Fields) -> str:
    ordered = {name: fields[name] for name in FIRST if name in fields}
    return json.dumps({**ordered, **fields}, default=str, ensure_ascii=True)


def _as_text(fields: Fields) -> str:
    """One line for people; what hangs below it, as a traceback does, is set off so that it can pass for no line."""
    head = " ".join(_plain(fields.pop(name, "")) for name in FIRST)
    below = [text for name in BEHIND if (text := fields.pop(name, None))]
    hidden_here = ("pid", "role", "actor")
    rest = " ".join(f"{name}={_plain(value)}" for name, value in fields.items() if name not in hidden_here)
    hanging = "".join(f"\n  | {_plain(line)}" for text in below for line in str(text).splitlines())
    return f"{head} {rest}".rstrip() + hanging


def _plain(value: object) -> str:
    return CONTROLS.sub(lambda found: f"\\x{ord(found.group()):02x}", str(value))
