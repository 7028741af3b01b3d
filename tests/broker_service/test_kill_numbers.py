"""A hundred working entries are ended at the broker's pace; `make bench` holds the seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from broker import types
from broker.ib.client import IbClient
from broker.ib.errors import NotSent
from broker.latch import Latch
from broker.service.kill import Run, run_to_end
from broker.service.owner import Place
from tests.broker_service.house import request
from tests.support import PATIENCE_S

ENTRIES = 100


@contextmanager
def connected(place: Place, pacing: Any) -> Iterator[IbClient]:
    """The adapter alone, as the kill switch uses it in the owner's place."""
    client = IbClient(
        host=place.host,
        port=place.port,
        client_id=place.client_id,
        paper=True,
        accept_account=lambda accounts: accounts[0],
        sink=lambda event: None,
        on_synced=lambda: None,
        known_contract=lambda con_id: None,
        pacing=pacing,
    )
    client.start()
    try:
        client.wait_connected(PATIENCE_S)
        yield client
    finally:
        client.stop()


class Blips:
    """A connection that is busy for some of its cancels, and is the real one else."""

    def __init__(self, client: IbClient, failing: set[int]) -> None:
        self._client = client
        self._failing = failing
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def cancel(self, *arguments: Any) -> None:
        """Refuse the calls of these numbers."""
        self.asked += 1
        if self.asked in self._failing:
            raise NotSent("the socket is busy")
        self._client.cancel(*arguments)


def test_a_cancel_that_does_not_leave_keeps_no_other_back_and_is_asked_again(place: Place) -> None:
    with connected(place, "none") as client:
        (contract,) = client.read("contracts", types.ContractQuery("SPY"), PATIENCE_S)
        account = client.state().account
        for number in range(3):
            client.send(contract, request(contract.con_id, account, Decimal(100), f"L{number}", 1), lambda: None)
        client.fence(PATIENCE_S)
        blips = Blips(client, {1, 4})
        run = Run(blips, Latch("HALTED", "ann", "a drill", cancel="entries"))  # type: ignore[arg-type]
        with pytest.raises(NotSent):
            run.step()
        assert (blips.asked, run.asked) == (3, 2)
        assert run_to_end(run, time.monotonic() + PATIENCE_S, lambda: None) == ""
        assert (blips.asked, run.asked, run.confirmed, run.working) == (5, 3, 3, ())


def test_a_hundred_entries_end_at_the_broker_s_pace(place: Place) -> None:
    with connected(place, "none") as sender:
        (contract,) = sender.read("contracts", types.ContractQuery("SPY"), PATIENCE_S)
        account = sender.state().account
        for number in range(ENTRIES):
            sender.send(contract, request(contract.con_id, account, Decimal(100), f"L{number}", 1), lambda: None)
        sender.fence(PATIENCE_S)
    with connected(place, "real") as client:
        run = Run(client, Latch("HALTED", "ann", "a drill", cancel="entries"))
        before, began = client.frames_written, time.monotonic()
        run.step()
        sent = time.monotonic() - began
        assert client.frames_written - before == ENTRIES
        assert run_to_end(run, time.monotonic() + PATIENCE_S, lambda: None) == ""
        assert (run.asked, run.confirmed, run.working) == (ENTRIES, ENTRIES, ())
        assert client.state().connected
    assert 1.5 < sent < PATIENCE_S  # 45 a second, and not all at once
