"""What can be wrong with the gateway's own files, told at start: each error names the file and what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

OTHER_STORE = "choose another file with --store FILE (--store none keeps nothing)"


class PaperGatewayError(Exception):
    """The paper gateway cannot start as asked; the text is one sentence for the person who starts it."""


class PriceDataError(PaperGatewayError):
    """A price file that cannot be read as OHLCV: `path`, `line` (1 = header, 0 = whole file), problem, fix."""

    def __init__(self, path: Path, line: int, problem: str, fix: str) -> None:
        super().__init__(f"{path}, line {line}: {problem}; {fix}" if line else f"{path}: {problem}; {fix}")
        self.path = path
        self.line = line
        self.fix = fix


class ReferenceDataError(PaperGatewayError):
    """A file of news or reports that cannot be read: `path`, problem, fix."""

    def __init__(self, path: Path, problem: str, fix: str) -> None:
        super().__init__(f"{path}: {problem}; {fix}")
        self.path = path
        self.fix = fix


class CannotListen(PaperGatewayError):
    """The address or port cannot be listened on."""

    def __init__(self, option: str, host: str, port: int, error: OSError) -> None:
        fix = f"choose another with {option}, 0 = any free one"
        if error.errno == errno.EADDRINUSE:
            super().__init__(f"port {port} on {host} is in use already; {fix}")
        else:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
            super().__init__(f"cannot listen on {host} port {port} ({reason}); choose another with --host or {option}")


class WrongOption(PaperGatewayError):
    """An option has a value that no gateway can have."""


class UniverseError(PaperGatewayError):
    """Two symbols claim the same contract id."""


class StoreMismatch(PaperGatewayError):
    """The store belongs to another account, seed or kind of clock than the one asked for."""
