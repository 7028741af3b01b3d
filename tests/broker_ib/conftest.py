"""A paper gateway with a set clock for each test, and clients that are stopped at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import CLOSE, TIMEOUT, Desk


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that begins late on a busy machine is none that hangs."""
    monkeypatch.setattr("broker.ib.client.STOP_LIMIT", TIMEOUT)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The gateway's own file."""
    return tmp_path / "gateway.sqlite3"


@pytest.fixture
def gateway(store: Path) -> Iterator[EmbeddedGateway]:
    """A gateway with seeded prices at the close of 2019-06-03."""
    with EmbeddedGateway(set_clock=CLOSE, store_path=store) as running:
        yield running


@pytest.fixture
def make_desk() -> Iterator[Callable[..., Desk]]:
    """Makes started clients; all are stopped at the end."""
    desks: list[Desk] = []

    def make(host: str, port: int, **changes: Any) -> Desk:
        desk = Desk(host, port, **changes)
        desks.append(desk)
        desk.client.start()
        return desk

    yield make
    for desk in desks:
        desk.client.stop()


@pytest.fixture
def desk(gateway: EmbeddedGateway, make_desk: Callable[..., Desk]) -> Desk:
    """A client that is connected and replayed."""
    made = make_desk(gateway.host, gateway.port)
    made.wait_synced()
    return made
