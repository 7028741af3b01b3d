"""Buys and sells again as a program of the desk's: `python -m tests.load.trader ROUNDS [propose] [CONTROL_PORT]`."""

from __future__ import annotations

import random
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from decimal import Decimal
from typing import Any

from broker.paper_gateway.control import ControlClient
from tests.support import eventually

SYMBOL = "SPY"
CLIENT = "load"
CENT = Decimal("0.01")
# Between two orders: long enough for a panel that is renewed twice a second, and never in step with anything.
PAUSE_S = (0.8, 1.6)
REST_S = (1.5, 2.5)


def main(rounds: int, *words: str) -> None:
    """In round n so many shares are bought, then sold: each fill is another row. Raises where an order is refused.

    With a gateway's control port each sale is a limit order that stands at the gateway, until the market comes to it.
    With `propose` one more is asked for, which waits for a person.
    """
    import django

    django.setup()
    from broker import get_broker

    port = next((int(word) for word in words if word.isdigit()), 0)
    with get_broker(own=False) as broker:
        con_id, last = _market(broker)
        for number in range(1, rounds + 1):
            _ask(broker, _entry(number, last))
            time.sleep(random.uniform(*PAUSE_S))
            with _halted(port, con_id) if port else nullcontext():
                _ask(broker, _exit(number, last))
                if port:
                    _rest(2 * number - 1)
            if port:
                _filled(2 * number)
            time.sleep(random.uniform(*PAUSE_S))
        if "propose" in words:
            _ask(broker, _entry(rounds + 1, last), must_be_approved=True)
    print(rounds, flush=True)


@contextmanager
def _halted(port: int, con_id: int) -> Iterator[None]:
    """Nothing trades in it: the exchange takes orders, and fills them when trading goes on."""
    with ControlClient("127.0.0.1", port) as control:
        control.halt(con_id, on=True)
        try:
            yield
        finally:
            control.halt(con_id, on=False)


def _rest(fills: int) -> None:
    """Until the order's own messages are long booked. Raises SystemExit where there are other than so many fills."""
    from trading.models import Fill

    time.sleep(random.uniform(*REST_S))
    if (found := Fill.objects.count()) != fills:
        raise SystemExit(f"{found} fills instead of {fills}: the order did not rest")


def _entry(number: int, last: Decimal) -> dict[str, Any]:
    stop, target = (last * Decimal(part) for part in ("0.98", "1.06"))
    prices = {"stop_price": str(stop.quantize(CENT)), "target_price": str(target.quantize(CENT))}
    return {**_common(number), "side": "BUY", "purpose": "entry", **prices}


def _filled(fills: int) -> None:
    """Until so many are booked. Raises AssertionError where it takes more than twenty seconds."""
    from trading.models import Fill

    eventually(lambda: Fill.objects.count() >= fills, 20, every=0.2)  # seldom: the machine is the fill's now


def _exit(number: int, last: Decimal) -> dict[str, Any]:
    limit = (last * Decimal("0.99")).quantize(CENT)  # the market's price is better, and fills it
    return {**_common(number), "side": "SELL", "purpose": "exit", "order_type": "LMT", "limit_price": str(limit)}


def _common(number: int) -> dict[str, Any]:
    return {"symbol": SYMBOL, "quantity": str(number), "order_type": "MKT", "intended": True}


def _market(broker: Any) -> tuple[int, Decimal]:
    """The contract and what it costs."""
    from broker import types

    con_id = broker.contracts(types.ContractQuery(SYMBOL))[0].con_id
    quote = broker.quote(types.ConId(con_id))
    found = quote.last or quote.ask
    assert found is not None
    return con_id, Decimal(found)


def _ask(broker: Any, body: dict[str, Any], *, must_be_approved: bool = False) -> None:
    from trading.services.requests import order_request

    outcome = order_request(
        client=CLIENT, key=str(uuid.uuid4()), body=body, actor=CLIENT, broker=broker, must_be_approved=must_be_approved
    )
    if not outcome.orders:
        raise SystemExit(f"{body}: {outcome.state} {outcome.code} {outcome.message}")


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
