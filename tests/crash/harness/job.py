"""One worker of a run: a process that plays cells and seeds on one database, told by JSON lines on its input."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.crash.harness.environment import FACTOR, set_up

DISK_SIZE = "size=32m"
PACKAGES = ("trading.workflow.steps", "trading.services", "trading.selectors", "trading.risk")
# daphne.server comes late in each owner, since it installs a reactor; nearly all that it loads can be here before.
MODULES = (
    "broker.front",
    "broker.service.run",
    "trading.tasks",
    "trading.workflow.lanes",
    "daphne.http_protocol",
    "daphne.ws_protocol",
    "daphne.endpoints",
    "txaio.tx",
    "autobahn.twisted.websocket",
    "twisted.internet.endpoints",
    "twisted.internet.asyncioreactor",
    "OpenSSL.SSL",
    "_strptime",
    "encodings.idna",
    "encodings.unicode_escape",
    "django.db.models.sql.compiler",
    "research.analysts.model",
    "research.charts",
    "openai",
    "openai.resources.chat",
    "anyio._backends._asyncio",
)
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000


def main() -> None:
    """Play what is asked, answer each with one line; ends with its input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), required=True)
    parser.add_argument("--template", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--factor", default=FACTOR)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    disk = small_disk(arguments.folder / "disk")
    if arguments.database == "postgresql":
        os.environ["AUTOTRADER_DATABASE_URL"] = f"postgresql://postgres@/base?host={arguments.folder}"
    os.environ["AUTOTRADER_STATE_DIR"] = str(arguments.folder / "state")
    set_up(arguments.factor)
    serve(arguments, disk, answers)


def small_disk(path: Path) -> Path:
    """A file system of 32 MB that goes with this process; a plain folder, never filled, where none may be mounted."""
    path.mkdir(exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) == 0 and libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0:
        libc.mount(b"tmpfs", str(path).encode(), b"tmpfs", 0, DISK_SIZE.encode())
    return path


def serve(arguments: argparse.Namespace, disk: Path, answers: Any) -> None:
    """Import everything that the cells' processes need, then play."""
    import_all()
    from tests.crash.harness.base import use_steady
    from tests.crash.harness.board import Board
    from tests.crash.harness.cells import Cell
    from tests.crash.harness.databases import Postgres, Sqlite
    from tests.crash.harness.processes import Zygote
    from tests.crash.harness.running import Runner
    from tests.crash.harness.seeds import play

    use_steady()
    sqlite = arguments.database == "sqlite"
    database = Sqlite(arguments.template, disk) if sqlite else Postgres(arguments.template, arguments.folder)
    runner = Runner(Zygote(Board()), database, arguments.folder, keep=arguments.keep)
    print("{}", file=answers)
    try:
        for line in sys.stdin:
            asked = json.loads(line)
            if "seed" in asked:
                outcome = play(runner, asked["seed"])
            elif "probe" in asked:
                outcome = runner.probe(asked["probe"])
            else:
                outcome = runner.run(Cell.parse(asked["cell"]))
            print(json.dumps(outcome.as_json()), file=answers)
    finally:
        database.close()
        if not arguments.keep:
            shutil.rmtree(arguments.folder, ignore_errors=True)


def import_all() -> None:
    """Load what web, worker and broker load, without a thread, a connection or a reactor."""
    names = [f"{package}.{name}" for package in PACKAGES for name in _modules(package)]
    for name in (*names, *MODULES):
        import_module(name)
    assert "twisted.internet.reactor" not in sys.modules, "a reactor cannot be shared by forks"


def _modules(package: str) -> list[str]:
    return [path.stem for path in Path(import_module(package).__path__[0]).glob("[a-z]*.py")]


if __name__ == "__main__":
    main()
