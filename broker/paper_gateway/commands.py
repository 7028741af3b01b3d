"""What the control port can be told, one function a command: it reads its arguments and answers with a document."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from broker.paper_gateway.server import PaperGateway
from broker.paper_gateway.truth import truth

Arguments = dict[str, Any]
Command = Callable[[PaperGateway, Arguments], Coroutine[Any, Any, dict[str, Any]]]


class ControlError(Exception):
    """What the control port answered instead of `ok`."""


async def status(gateway: PaperGateway, arguments: Arguments) -> dict[str, Any]:
    """Account, clock, who is connected, how many frames of each name arrived, which faults wait or are on."""
    exchange = gateway.exchange
    return {
        "account": exchange.account,
        "clock": "set" if exchange.clock_is_set else "running",
        "now": exchange.now().isoformat(),
        "clients": sorted(gateway.desk.clients),
        "frames": dict(gateway.frames),
        "faults": [started.fault.name for started in gateway.faults.live],
    }


async def advance(gateway: PaperGateway, arguments: Arguments) -> dict[str, Any]:
    """Play a set clock up to `to`; everything that came of it is on the sockets when the answer comes."""
    moment = _moment(arguments, "to")
    if not gateway.exchange.clock_is_set:
        raise ControlError("the clock of this gateway is running; only a set clock can be advanced")
    await gateway.advance(moment)
    return {"now": gateway.exchange.now().isoformat()}


async def frames(gateway: PaperGateway, arguments: Arguments) -> dict[str, Any]:
    """The latest frames of one `name` that arrived, oldest first."""
    return {"frames": gateway.kept(str(arguments.get("name")))}


async def fault(gateway: PaperGateway, arguments: Arguments) -> dict[str, Any]:
    """Start the fault `name` with the other arguments as its parameters."""
    name = _text(arguments, "name")
    return {"id": gateway.faults.start(name, {key: value for key, value in arguments.items() if key != "name"})}


async def faults(gateway: PaperGateway, arguments: Arguments) -> dict[str, Any]:
    """Every fault started so far."""
    return {"faults": gateway.faults.documents()}


async def heal(gateway: PaperGateway, arguments: Arguments) -> dict[str, Any]:
    """End the faults of one `name`, or all of them."""
    name = arguments.get("name")
    return {"healed": gateway.faults.heal(None if name is None else _text(arguments, "name"))}


async def ledger(gateway: PaperGateway, arguments: Arguments) -> dict[str, Any]:
    """What is true at the exchange."""
    return {"ledger": truth(gateway.exchange)}


COMMANDS: dict[str, Command] = {
    "status": status,
    "advance": advance,
    "frames": frames,
    "fault": fault,
    "faults": faults,
    "heal": heal,
    "ledger": ledger,
}


def _text(arguments: Arguments, name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str):
        raise ControlError(f"`{name}` must be text")
    return value


def _moment(arguments: Arguments, name: str) -> datetime:
    value = arguments.get(name)
    if not isinstance(value, str):
        raise ControlError(f"`{name}` must be an ISO date and time")
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ControlError(f"`{name}` needs an offset from UTC")
    return moment
