"""What can be wrong with the gateway's own files, told at start: each error names the file and what to do."""

from __future__ import annotations

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


class WrongOption(PaperGatewayError):
    """An option has a value that no gateway can have."""


class UniverseError(PaperGatewayError):
    """Two symbols claim the same contract id."""


class StoreMismatch(PaperGatewayError):
    """The store belongs to another account, seed or kind of clock than the one asked for."""
