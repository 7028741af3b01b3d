"""A gateway inside another program: in a thread of its own, with its own event loop, for the length of a `with`."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from datetime import datetime
from types import TracebackType
from typing import Any

from broker.paper_gateway.commands import COMMANDS
from broker.paper_gateway.running import GatewayOptions, RunningGateway, running

STOP_TIMEOUT = 10.0
ADVANCE_TIMEOUT = 120.0


class EmbeddedGateway:
    """Takes the fields of GatewayOptions as keywords; listening once entered. Not re-entrant.

    Whatever keeps the gateway from starting (a port in use, a bad price file) is raised from entering it.
    """

    def __init__(self, **options: Any) -> None:
        self.options = GatewayOptions(**options)
        self._ready: Future[RunningGateway] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="paper-gateway", daemon=True)

    def __enter__(self) -> EmbeddedGateway:
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        self._ready.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            for document in self.faults():
                error.add_note(f"paper gateway fault: --fault '{document['reproduce']}' ({document['state']})")
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_TIMEOUT)
        if self._thread.is_alive():
            raise RuntimeError(f"the paper gateway did not stop within {STOP_TIMEOUT:.0f} s")

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self.options.host

    @property
    def port(self) -> int:
        """The port that TWS API clients connect to."""
        return self._running.gateway.port

    @property
    def control_port(self) -> int:
        """The control port; raises ValueError where it was switched off."""
        if self._running.control is None:
            raise ValueError("this gateway has no control port")
        return self._running.control.port

    @property
    def account(self) -> str:
        """The account it simulates."""
        return self._running.gateway.exchange.account

    def advance(self, to: datetime) -> datetime:
        """Play a set clock up to `to`; every frame that came of it is on the sockets when this returns. The new now."""
        gateway = self._running.gateway
        asyncio.run_coroutine_threadsafe(gateway.advance(to), self._loop).result(ADVANCE_TIMEOUT)
        return gateway.exchange.now()

    def fault(self, name: str, **parameters: object) -> int:
        """Start a fault with its parameters (docs/paper-gateway.md); the number it has in `faults()`."""
        return int(self.command("fault", name=name, **parameters)["id"])

    def faults(self) -> list[dict[str, Any]]:
        """Every fault started: id, name, state (waiting, on, over), how often it acted, and how to make it again."""
        started: list[dict[str, Any]] = self.command("faults")["faults"]
        return started

    def heal(self, name: str | None = None) -> list[str]:
        """End the faults of that name, or all; what ended, as text that makes the same again."""
        healed: list[str] = self.command("heal", name=name)["healed"]
        return healed

    def truth(self) -> dict[str, Any]:
        """What is true at the exchange, whatever clients were told: orders, executions, positions, cash."""
        found: dict[str, Any] = self.command("ledger")["ledger"]
        return found

    def status(self) -> dict[str, Any]:
        """What the control port's `status` tells."""
        return self.command("status")

    def frames(self, name: str) -> list[list[str]]:
        """The fields of the latest thousand frames of that name that arrived, oldest first."""
        found: list[list[str]] = self.command("frames", name=name)["frames"]
        return found

    def command(self, command: str, /, **arguments: object) -> dict[str, Any]:
        """Any command of the control port, from any thread. Raises what it refuses: ControlError, FaultError."""
        awaited = COMMANDS[command](self._running.gateway, arguments)
        return asyncio.run_coroutine_threadsafe(awaited, self._loop).result(ADVANCE_TIMEOUT)

    @property
    def _running(self) -> RunningGateway:
        return self._ready.result(timeout=0)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        try:
            async with running(self.options) as running_gateway:
                self._ready.set_result(running_gateway)
                await self._stop.wait()
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)
