"""How quickly the kill switch is in force, and how quickly a hundred entries are asked to end at the broker's pace."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from broker import types
from tests.bench.bench_broker import client, market, prepared
from tests.bench.frame import Measured, bench, median_of, seconds_of

ENTRIES = 100


@bench("HALT committed, file and row", target=0.1)
def halt_committed() -> Measured:
    prepared()
    from broker import gates

    measured = median_of(lambda: gates.halt_set("HALTED", "bench", "a measurement"), rounds=50)
    gates.halt_release("bench", "measured")
    return measured


@bench("100 cancels of a halt sent, paced", target=3)
def cancels_sent() -> Measured:
    return _cancelled(steps=1)


@bench("100 cancels of a halt sent and confirmed", target=4)
def cancels_confirmed() -> Measured:
    return _cancelled(steps=3)


def _cancelled(steps: int) -> Measured:
    """The seconds of so many looks of the kill switch at a book of a hundred entries that work."""
    prepared()
    from broker.latch import Latch
    from broker.service.kill import Run

    with market() as process:
        with client(process) as sender:
            _fill(sender)
        with client(process, pacing="real") as adapter:
            run = Run(adapter, Latch("HALTED", "bench", "a drill", cancel="entries"))
            taken = sum(seconds_of(run.step) for _ in range(steps))
            assert run.asked == ENTRIES
    return Measured(taken)


def _fill(adapter: Any) -> None:
    from tests.broker_service.house import request

    (contract,) = adapter.read("contracts", types.ContractQuery("SPY"), 10)
    account = adapter.state().account
    for number in range(ENTRIES):
        adapter.send(contract, request(contract.con_id, account, Decimal(100), f"L{number}", 1), lambda: None)
    adapter.fence(10)
