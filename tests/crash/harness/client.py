"""A client that keeps what it asks before it asks, and asks again with the same key until it is told the end."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connections

from autotrader.core.ops.pace import paced
from broker import get_broker, types
from broker.errors import BrokerUnavailable
from tests.crash.harness.base import SYMBOL
from trading.selectors.requests import RequestOutcome
from trading.services.request_bodies import body_hash
from trading.services.requests import Caller, cancel_request, modify_request, order_request

NAME = "user:crash"
CALLER = Caller(client=NAME, actor=NAME, may_unprotect=False)
QUANTITY = "10"
CENT = Decimal("0.01")
AGAIN = 2.0  # seconds, before they are paced
PATIENCE = 30.0
TRANSIENT = (DatabaseError, BrokerUnavailable, OSError)
Make = Callable[[Any], dict[str, Any]]


def ask(kind: str, number: int, make: Make) -> None:
    """Ask until the end is told; what was told is kept for the oracle. Raises TimeoutError."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            with get_broker() as broker:
                body = _kept(f"{kind}-{number}", lambda: make(broker))
                outcome = _send(kind, f"{kind}-{number}", body, broker)
        except TRANSIENT:
            connections.close_all()
        else:
            if _is_final(outcome):
                _note(kind, number, body, outcome)
                return
        time.sleep(paced(AGAIN))
    raise TimeoutError(f"{kind} {number} was never answered")


def _send(kind: str, key: str, body: dict[str, Any], broker: Any) -> RequestOutcome:
    if kind == "modify":
        return modify_request(caller=CALLER, key=key, body=body, broker=broker)
    if kind == "cancel":
        return cancel_request(caller=CALLER, key=key, body=body, broker=broker)
    return order_request(client=NAME, key=key, body=body, actor=NAME, broker=broker)


def _is_final(outcome: RequestOutcome) -> bool:
    return outcome.state != "RECEIVED" and outcome.dispatch not in ("QUEUED", "RUNNING", "WAITING")


def _kept(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The body as it was when it was first asked."""
    path = settings.AUTOTRADER_STATE_DIR / f"body-{name}.json"
    if not path.exists():
        part = path.with_suffix(".part")
        part.write_text(json.dumps(make()))
        part.rename(path)
    body: dict[str, Any] = json.loads(path.read_text())
    return body


def _note(kind: str, number: int, body: dict[str, Any], outcome: RequestOutcome) -> None:
    line = {
        "client": NAME,
        "key": f"{kind}-{number}",
        "body_hash": body_hash(body),
        "told": f"{outcome.request} {outcome.state} {outcome.code} {[order.order_ref for order in outcome.orders]}",
    }
    log = os.open(answers_log(settings.AUTOTRADER_STATE_DIR), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(log, f"{json.dumps(line)}\n".encode())
    os.close(log)


def answers_log(folder: Path) -> Path:
    """Where clients keep what they were told."""
    return folder / "answers.jsonl"


def answers(folder: Path) -> Iterable[dict[str, str]]:
    """What clients were told."""
    log = answers_log(folder)
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def price() -> Callable[[Any], Decimal]:
    """Asks the broker for the last price."""

    def last(broker: Any) -> Decimal:
        contract = broker.contracts(types.ContractQuery(SYMBOL))[0]
        quote = broker.quote(types.ConId(contract.con_id))
        found = quote.last or quote.ask or quote.close
        assert found is not None
        return Decimal(found)

    return last


def entry(order_type: str, limit: str | None) -> Make:
    """An entry with its protection; `limit` as a part of the last price."""

    def make(broker: Any) -> dict[str, Any]:
        last = price()(broker)
        body = {
            "symbol": SYMBOL,
            "side": "BUY",
            "quantity": QUANTITY,
            "order_type": order_type,
            "purpose": "entry",
            "stop_price": _part(last, "0.95"),
            "target_price": _part(last, "1.1"),
            "intended": True,
        }
        return body | ({"limit_price": _part(last, limit)} if limit else {})

    return make


def closing(quantity: str) -> Make:
    """An exit at the market."""
    return lambda broker: {
        "symbol": SYMBOL,
        "side": "SELL",
        "quantity": quantity,
        "order_type": "MKT",
        "purpose": "exit",
        "intended": True,
    }


def new_stop(order_ref: str) -> Make:
    """A stop that is moved a little nearer."""
    return lambda broker: {"order_ref": order_ref, "stop_price": _part(price()(broker), "0.96"), "intended": True}


def end_of(order_ref: str) -> Make:
    """The cancel of an order."""
    return lambda broker: {"order_ref": order_ref}


def _part(price: Decimal, factor: str) -> str:
    return str((price * Decimal(factor)).quantize(CENT))
