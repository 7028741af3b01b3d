"""A blocking client of a gateway's control port, for tests and for the desk's own commands."""

from __future__ import annotations

import json
import socket
from datetime import datetime
from types import TracebackType
from typing import Any

from broker.paper_gateway.commands import ControlError

DEFAULT_TIMEOUT = 30.0


class ControlClient:
    """Raises ControlError for a refused command, OSError when nobody is there."""

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
        """Account, clock (set or running), now, client ids, how many frames of each name arrived, faults at work."""
        return self._ask("status")

    def advance(self, to: datetime) -> datetime:
        """Play a set clock up to `to` (aware); every frame that came of it is on the sockets when this returns."""
        return datetime.fromisoformat(self._ask("advance", to=to.isoformat())["now"])

    def step(self, seconds: float) -> datetime:
        """Play a set clock that much further; the new now."""
        return datetime.fromisoformat(self._ask("step", seconds=seconds)["now"])

    def speed(self, speed: float) -> datetime:
        """Let a running clock go at that many market seconds a second, 0 = stand; the time of the change."""
        return datetime.fromisoformat(self._ask("speed", speed=speed)["now"])

    def jump(self, to: datetime) -> datetime:
        """Move a running clock forward; every frame that came of it is on the sockets when this returns."""
        return datetime.fromisoformat(self._ask("jump", to=to.isoformat())["now"])

    def feed(self, feed: str, con_id: int | None = None) -> None:
        """Say that there are `live`, `delayed` or `none` market data of a contract, or of all."""
        self._ask("feed", feed=feed, con_id=con_id)

    def competing(self, *, on: bool) -> None:
        """Say whether another session has all live market data."""
        self._ask("competing", on=on)

    def halt(self, con_id: int, *, on: bool) -> None:
        """Say whether trading of a contract is halted."""
        self._ask("halt", con_id=con_id, on=on)

    def shortable(self, con_id: int, shares: int) -> None:
        """Say how many shares of a contract can be borrowed."""
        self._ask("shortable", con_id=con_id, shares=shares)

    def manual(self, con_id: int, action: str, quantity: float, limit: float | None = None) -> None:
        """Enter an order as a person at the platform does; at the market without a limit."""
        self._ask("manual", con_id=con_id, action=action, quantity=quantity, limit=limit)

    def frames(self, name: str) -> list[list[str]]:
        """The fields of the latest thousand frames of that name, oldest first."""
        found: list[list[str]] = self._ask("frames", name=name)["frames"]
        return found

    def fault(self, name: str, **parameters: object) -> int:
        """Start a fault; the number it has in `faults()`."""
        return int(self._ask("fault", name=name, **parameters)["id"])

    def faults(self) -> list[dict[str, Any]]:
        """Every fault started: id, name, state (waiting, on, over), how often it acted, and how to make it again."""
        started: list[dict[str, Any]] = self._ask("faults")["faults"]
        return started

    def heal(self, name: str | None = None) -> list[str]:
        """End the faults of that name, or all; what ended, as text that makes the same again."""
        healed: list[str] = self._ask("heal", name=name)["healed"]
        return healed

    def ledger(self) -> dict[str, Any]:
        """What is true at the exchange: orders, executions, positions, cash."""
        found: dict[str, Any] = self._ask("ledger")["ledger"]
        return found

    def _ask(self, command: str, **arguments: object) -> dict[str, Any]:
        self._socket.sendall(json.dumps({"cmd": command, **arguments}).encode() + b"\n")
        line = self._lines.readline()
        if not line:
            raise ConnectionError("the control port closed the connection")
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise ControlError(answer["error"])
        return answer
