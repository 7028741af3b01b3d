"""What the control port can be told, one function a command: it reads its arguments and answers with a document."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast, get_args

from broker.paper_gateway.checks import ACTIONS, check_terms
from broker.paper_gateway.dispatch import ROUTES
from broker.paper_gateway.faults.registry import FAULTS
from broker.paper_gateway.feeds import Feed
from broker.paper_gateway.server import UNKNOWN, PaperGateway
from broker.paper_gateway.truth import truth
from broker.paper_gateway.types import OrderTerms

FEEDS = get_args(Feed)
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
    name, known = _text(arguments, "name"), sorted({UNKNOWN, *(route.name for route in ROUTES.values())})
    if name not in known:
        raise ControlError(f"`name` is a frame that clients send, not {name[:40]!r}: one of {', '.join(known)}")
    return {"frames": gateway.kept(name)}


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
    if name is not None and _text(arguments, "name") not in FAULTS:
        raise ControlError(f"`name` is no fault: {str(name)[:40]!r}; there are {', '.join(sorted(FAULTS))}")
    return {"healed": gateway.faults.heal(name)}


async def ledger(gateway: PaperGateway, arguments: Arguments) -> dict[str, Any]:
    """What is true at the exchange."""
    return {"ledger": truth(gateway.exchange)}


async def step(gateway: PaperGateway, arguments: Arguments) -> dict[str, Any]:
    """Play a set clock `seconds` further."""
    later = gateway.exchange.now() + timedelta(seconds=_number(arguments, "seconds"))
    return await advance(gateway, {"to": later.isoformat()})


async def speed(gateway: PaperGateway, arguments: Arguments) -> dict[str, Any]:
    """Let a running clock go at `speed` market seconds a second; 0 stands."""
    gateway.exchange.clock_speed(_number(arguments, "speed"))
    gateway.flush()
    return {"now": gateway.exchange.now().isoformat()}


async def jump(gateway: PaperGateway, arguments: Arguments) -> dict[str, Any]:
    """Move a running clock forward `to` a time; everything that came of it is on the sockets when the answer comes."""
    await gateway.jump(_moment(arguments, "to"))
    return {"now": gateway.exchange.now().isoformat()}


async def feed(gateway: PaperGateway, arguments: Arguments) -> dict[str, Any]:
    """Say which market data there are (`feed`: live, delayed or none) of a contract (`con_id`), or of all."""
    chosen = _text(arguments, "feed")
    if chosen not in FEEDS:
        raise ControlError(f"`feed` is one of {', '.join(FEEDS)}")
    gateway.exchange.set_feed(_contract(gateway, arguments), cast("Feed", chosen))
    return {}


async def competing(gateway: PaperGateway, arguments: Arguments) -> dict[str, Any]:
    """Say whether (`on`) another session has all live market data."""
    gateway.exchange.competing = _flag(arguments, "on")
    return {}


async def halt(gateway: PaperGateway, arguments: Arguments) -> dict[str, Any]:
    """Say whether (`on`) trading of a contract (`con_id`) is halted."""
    con_id = _contract(gateway, arguments)
    if con_id is None:
        raise ControlError("`con_id` must be a contract id")
    gateway.exchange.set_halted(con_id, halted=_flag(arguments, "on"))
    return {}


async def shortable(gateway: PaperGateway, arguments: Arguments) -> dict[str, Any]:
    """Say how many `shares` of a contract (`con_id`) can be borrowed."""
    con_id, shares = _contract(gateway, arguments), _number(arguments, "shares")
    if con_id is None or shares < 0:
        raise ControlError("`con_id` must be a contract id, `shares` at least 0")
    gateway.exchange.set_shortable(con_id, int(shares))
    gateway.flush()
    return {}


async def manual(gateway: PaperGateway, arguments: Arguments) -> dict[str, Any]:
    """Enter an order as a person at the platform does: `con_id`, `action`, `quantity`, with `limit` a limit order."""
    con_id, quantity = _contract(gateway, arguments), _number(arguments, "quantity")
    if con_id is None:
        raise ControlError("`con_id` must be a contract id")
    if quantity <= 0 or quantity != int(quantity):
        raise ControlError(f"`quantity` is a whole number above 0, not {quantity:g}")
    limit = Decimal(str(_number(arguments, "limit"))) if arguments.get("limit") is not None else None
    spec, action = gateway.desk.contracts.by_id(con_id), _text(arguments, "action")
    if action not in ACTIONS:
        raise ControlError(f"`action` is one of {', '.join(ACTIONS)}, not {action[:40]!r}")
    terms = OrderTerms(
        client_id=0,
        order_id=0,
        con_id=con_id,
        symbol=spec.symbol,
        action=action,
        quantity=Decimal(int(quantity)),
        order_type="MKT" if limit is None else "LMT",
        limit_price=limit,
        account=gateway.exchange.account,
    )
    refusal = check_terms(terms, spec, gateway.exchange.account)
    if refusal is not None:
        raise ControlError(f"the order would be refused with {refusal.code}: {refusal.message}")
    gateway.exchange.place_manual(terms)
    gateway.flush()
    return {}


COMMANDS: dict[str, Command] = {
    "status": status,
    "advance": advance,
    "step": step,
    "speed": speed,
    "jump": jump,
    "feed": feed,
    "competing": competing,
    "halt": halt,
    "shortable": shortable,
    "manual": manual,
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


def _number(arguments: Arguments, name: str) -> float:
    value = arguments.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ControlError(f"`{name}` must be a number")
    return float(value)


def _flag(arguments: Arguments, name: str) -> bool:
    value = arguments.get(name)
    if not isinstance(value, bool):
        raise ControlError(f"`{name}` must be true or false")
    return value


def _contract(gateway: PaperGateway, arguments: Arguments) -> int | None:
    """The contract id that was given, None where there was none; raises GatewayError for one that does not exist."""
    con_id = arguments.get("con_id")
    if con_id is None:
        return None
    if not isinstance(con_id, int) or isinstance(con_id, bool):
        raise ControlError("`con_id` must be a contract id")
    return gateway.desk.contracts.by_id(con_id).con_id


def _moment(arguments: Arguments, name: str) -> datetime:
    value = arguments.get(name)
    if not isinstance(value, str):
        raise ControlError(f"`{name}` must be an ISO date and time")
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ControlError(f"`{name}` needs an offset from UTC")
    return moment
