"""The gateway of a cell: a process that can be killed and started again on its store, with a log of order frames."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from broker.paper_gateway import server
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.dispatch import ROUTES
from broker.paper_gateway.running import GatewayOptions, running
from tests.crash.harness.board import Board
from tests.crash.harness.processes import Forked, Zygote

HOST = "127.0.0.1"
ORDER_FRAMES = frozenset({"placeOrder", "cancelOrder", "reqGlobalCancel"})
START_LIMIT = 20.0


class Gateway:
    """Listens at one port for the length of a cell, whatever happens to its process."""

    def __init__(self, zygote: Zygote, folder: Path, seed: int = 1) -> None:
        self.folder = folder
        self.port = self.control_port = 0
        self._seed = seed
        self._zygote = zygote
        self._process: Forked | None = None
        self._control: ControlClient | None = None

    @property
    def log(self) -> Path:
        """Every order frame that arrived, one JSON line each, over all lives of the process."""
        return self.folder / "frames.jsonl"

    def start(self) -> None:
        """Start, or start again, on the same store and ports; returns once it listens."""
        self.hang_up()
        told = self.folder / "gateway.ports"
        told.unlink(missing_ok=True)
        options = GatewayOptions(
            host=HOST,
            port=self.port,
            control=self.control_port,
            store_path=self.folder / "paper.sqlite3",
            seed=self._seed,
        )
        self._process = self._zygote.fork("gateway", self.folder, _serve, options, told, self.log, self._zygote.board)
        until = time.monotonic() + START_LIMIT
        while not told.exists():
            if not self._process.alive or time.monotonic() > until:
                raise RuntimeError("the gateway did not start")
            time.sleep(0.005)
        self.port, self.control_port = json.loads(told.read_text())

    def kill(self) -> None:
        """SIGKILL."""
        self.hang_up()
        if self._process is not None:
            self._process.end()

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.alive

    @property
    def control(self) -> ControlClient:
        """The control port of the running process."""
        if self._control is None:
            self._control = ControlClient(HOST, self.control_port)
        return self._control

    def hang_up(self) -> None:
        """Close the control connection; before a fork, so that no child holds it open."""
        if self._control is not None:
            self._control.close()
            self._control = None

    def truth(self) -> dict[str, Any]:
        """What is true at the exchange."""
        return self.control.ledger()


def _serve(options: GatewayOptions, told: Path, log: Path, board: Board) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    received = server.PaperGateway.received

    def logged(self: Any, session: Any, fields: list[str]) -> None:
        name = ROUTES[fields[0]].name if fields and fields[0] in ROUTES else ""
        if name in ORDER_FRAMES:
            line = {"at": time.time(), "client": session.client_id, "name": name, "fields": fields}
            os.write(descriptor, f"{json.dumps(line)}\n".encode())
        received(self, session, fields)

    server.PaperGateway.received = logged  # type: ignore[method-assign]
    asyncio.run(_run(options, told))


async def _run(options: GatewayOptions, told: Path) -> None:
    async with running(options) as gateway:
        assert gateway.control is not None
        part = told.with_suffix(".part")
        part.write_text(json.dumps([gateway.gateway.port, gateway.control.port]))
        part.rename(told)
        await asyncio.Event().wait()
