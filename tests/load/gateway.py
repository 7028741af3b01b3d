"""A paper gateway that writes down when it executed what, as a process: `python -m tests.load.gateway FOLDER`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from broker.paper_gateway.running import GatewayOptions, running
from broker.paper_gateway.types import EngineEvent, Executed

FILLS = "gateway-fills.jsonl"


async def main(folder: Path) -> None:
    """Prints its two ports, then serves until it is ended. A line of the log tells an execution, in ns of wall time."""
    log = os.open(folder / FILLS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def heard(event: EngineEvent) -> None:
        if isinstance(event, Executed):
            told = {"at_ns": time.time_ns(), "exec_id": event.execution.exec_id, "ref": event.execution.order_ref}
            os.write(log, f"{json.dumps(told)}\n".encode())

    async with running(GatewayOptions(store_path=folder / "paper.sqlite3")) as gateway:
        assert gateway.control is not None
        gateway.gateway.exchange.listen(heard)
        print(json.dumps([gateway.gateway.port, gateway.control.port]), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
