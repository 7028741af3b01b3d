"""The model's provider of a cell: a process that answers soundly and keeps each question that reached it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from tests.research.openai_server import Behaviour, LoopbackModelServer, Question


def serve(folder: Path) -> None:
    """Answer until killed; where, lies in the folder from then on."""
    log = os.open(_log(folder), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    class Logged(LoopbackModelServer):
        def respond(self, question: Question) -> Behaviour:
            os.write(log, b"asked\n")
            return super().respond(question)

    with Logged() as server:
        part = _address(folder).with_suffix(".part")
        part.write_text(server.base_url)
        part.rename(_address(folder))
        threading.Event().wait()


def address(folder: Path) -> str:
    """Its base URL; empty while it does not listen."""
    found = _address(folder)
    return found.read_text() if found.exists() else ""


def asked(folder: Path) -> int:
    """How many questions reached it; none where there is no provider."""
    log = _log(folder)
    return log.read_bytes().count(b"\n") if log.exists() else 0


def _address(folder: Path) -> Path:
    return folder / "provider.url"


def _log(folder: Path) -> Path:
    return folder / "provider.log"
