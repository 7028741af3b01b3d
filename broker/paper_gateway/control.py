"""The control port: one JSON object a line, on loopback only, to see and to steer a gateway."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from broker.paper_gateway.commands import COMMANDS, ControlError
from broker.paper_gateway.control_client import ControlClient
from broker.paper_gateway.faults.base import FaultError
from broker.paper_gateway.server import PaperGateway
from broker.paper_gateway.types import GatewayError

__all__ = ["ControlClient", "ControlError", "ControlServer"]

LOOPBACK = "127.0.0.1"
MAX_LINE = 64 * 1024

logger = logging.getLogger(__name__)


class ControlServer:
    """Obeys the commands of COMMANDS for one gateway, in that gateway's loop."""

    def __init__(self, gateway: PaperGateway, *, port: int = 0) -> None:
        self.gateway = gateway
        self.host, self.port = LOOPBACK, port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen on loopback; with port 0 the system chooses one, readable as `port` afterwards."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=MAX_LINE)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._server is None:
            return
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # the peer is gone, or its line is longer than any command
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            command = json.loads(line)
            if not isinstance(command, dict):
                raise ControlError("a command is a JSON object")
            return {"ok": True, **await self._obey(command)}
        except (ControlError, FaultError, ValueError, OverflowError, RecursionError) as error:
            return {"ok": False, "error": str(error) or type(error).__name__}
        except GatewayError as error:
            return {"ok": False, "error": f"{error.code}: {error.message}"}
        except Exception as error:
            logger.exception("a command on the control port failed")
            return {"ok": False, "error": f"internal error: {type(error).__name__}"}

    async def _obey(self, command: dict[str, Any]) -> dict[str, Any]:
        name = command.pop("cmd", None)
        obey = COMMANDS.get(name) if isinstance(name, str) else None
        if obey is None:
            raise ControlError(f"unknown command {str(name)[:40]!r}: there are {', '.join(COMMANDS)}")
        return await obey(self.gateway, command)
