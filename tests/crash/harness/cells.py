"""One cell of the matrix: an operation, the point at which a fault strikes, the fault, and whom it strikes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# Of the process at the point: killed there, or stopped for 120 s and woken. Of the others: done while it waits there.
FAULTS = {
    "kill": "SIGKILL of the process at the point",
    "stop": "SIGSTOP of the process at the point for 120 s, then SIGCONT",
    "kill-other": "SIGKILL of the broker where a worker or the web is at the point, of those where the broker is",
    "kill-all": "SIGKILL of web, worker, broker and gateway at once",
    "gateway": "SIGKILL of the gateway, which starts again on its store after a while",
    "reset": "RST of the gateway's connections",
    "rollback": "restart of the gateway's sessions with order ids that roll back",
    "database": "PostgreSQL stopped at once and started again; SQLite locked by another writer for 30 s",
    "disk": "no space left where the database lies, for 10 s",
    "nested": "SIGKILL at the point, then twice more in the recovery that follows",
    "halt": "trading is halted while the process waits at the point, and the entries are ended",
}
SELF = frozenset({"kill", "stop", "nested"})


@dataclass(frozen=True, slots=True)
class Cell:
    """`point` is passed by a process of `role`; the fault strikes at its `occurrence`-th pass after the start."""

    operation: str
    role: str
    point: str
    fault: str
    database: str
    occurrence: int = 1
    seed: int = 0

    @property
    def name(self) -> str:
        """How results and the command line call it."""
        return ":".join(map(str, (self.operation, self.role, self.point, self.occurrence, self.fault, self.database)))

    @classmethod
    def parse(cls, name: str) -> Cell:
        """The cell of that name. Raises ValueError."""
        operation, role, point, occurrence, fault, database = name.split(":")
        return cls(operation, role, point, fault, database, int(occurrence))


@dataclass(slots=True)
class Outcome:
    """What became of a cell: `passed`, `failed`, `unreached`, `skipped` or `error` (the harness itself failed)."""

    name: str
    state: str
    seconds: float = 0.0
    detail: tuple[str, ...] = ()
    passes: dict[str, dict[str, int]] | None = None

    def as_json(self) -> dict[str, Any]:
        """For the pipe, and for the file of results."""
        return asdict(self)
