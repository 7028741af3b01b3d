"""The control port: one JSON object a line, on loopback only, to see and to steer a gateway; and the client for it."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from datetime import datetime
from types import TracebackType
from typing import Any

from broker.paper_gateway.server import PaperGateway
from broker.paper_gateway.types import GatewayError

LOOPBACK = "127.0.0.1"
MAX_LINE = 64 * 1024
DEFAULT_TIMEOUT = 30.0

logger = logging.getLogger(__name__)


class ControlError(Exception):
    """What the control port answered instead of `ok`."""


class ControlServer:
    """Serves status, advance and frames for one gateway, in that gateway's loop."""

    def __init__(self, gateway: PaperGateway, *, port: int = 0) -> None:
        self.gateway = gateway
        self.port = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen on loopback; with port 0 the system chooses one, readable as `port` afterwards."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port, limit=MAX_LINE)
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
        except (ControlError, ValueError, RecursionError) as error:
            return {"ok": False, "error": str(error) or type(error).__name__}
        except GatewayError as error:
            return {"ok": False, "error": f"{error.code}: {error.message}"}
        except Exception as error:
            logger.exception("a command on the control port failed")
            return {"ok": False, "error": f"internal error: {type(error).__name__}"}

    async def _obey(self, command: dict[str, Any]) -> dict[str, Any]:
        match command.get("cmd"):
            case "status":
                return self._status()
            case "advance":
                return await self._advance(command.get("to"))
            case "frames":
                return {"frames": list(self.gateway.recent.get(str(command.get("name")), ()))}
            case other:
                raise ControlError(f"unknown command {str(other)[:40]!r}: status, advance and frames are known")

    def _status(self) -> dict[str, Any]:
        exchange = self.gateway.exchange
        return {
            "account": exchange.account,
            "clock": "set" if exchange.clock_is_set else "running",
            "now": exchange.now().isoformat(),
            "clients": sorted(self.gateway.desk.clients),
            "frames": dict(self.gateway.frames),
        }

    async def _advance(self, to: object) -> dict[str, Any]:
        if not isinstance(to, str):
            raise ControlError("advance needs `to`, an ISO date and time")
        moment = datetime.fromisoformat(to)
        if moment.tzinfo is None:
            raise ControlError("`to` needs an offset from UTC")
        if not self.gateway.exchange.clock_is_set:
            raise ControlError("the clock of this gateway is running; only a set clock can be advanced")
        await self.gateway.advance(moment)
        return {"now": self.gateway.exchange.now().isoformat()}


class ControlClient:
    """A blocking client of the control port: ControlError for a refused command, OSError when nobody is there."""

    def __init__(self, host: str, port: int, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._socket = socket.create_connection((host, port), timeout)
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()

    def status(self) -> dict[str, Any]:
        """Account, clock (set or running), now, connected client ids, and how many frames of each name arrived."""
        return self._ask({"cmd": "status"})

    def advance(self, to: datetime) -> datetime:
        """Play a set clock up to `to` (aware); every frame that came of it is on the sockets when this returns."""
        return datetime.fromisoformat(self._ask({"cmd": "advance", "to": to.isoformat()})["now"])

    def frames(self, name: str) -> list[list[str]]:
        """The fields of the latest thousand frames of that name, oldest first."""
        frames: list[list[str]] = self._ask({"cmd": "frames", "name": name})["frames"]
        return frames

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        self._socket.sendall(json.dumps(command).encode() + b"\n")
        line = self._lines.readline()
        if not line:
            raise ConnectionError("the control port closed the connection")
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise ControlError(answer["error"])
        return answer
