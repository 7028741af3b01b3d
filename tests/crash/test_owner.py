"""The owner stopped or killed while it is used: known at once, replaced soon, nothing sent twice, no fill lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from broker import get_broker, remote, types
from broker.errors import BrokerUnavailable, TradingDisabled
from broker.models import BrokerMessage, Submission
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.port import Broker
from tests.broker_service.house import bracket, changed, resolve
from tests.support import ROOT, child_environment, eventually

pytestmark = [pytest.mark.crash, pytest.mark.timeout(400)]
IN_LIFE = remote.PING_LIMIT
AT_ONCE = 10.0  # a second, as a busy machine has it
SUPERVISE = """
import os, sys
import django
django.setup()
from django.conf import settings
from autotrader.core.ops.supervisor import Supervisor
from autotrader.management.commands.up import children
owner = [child for child in children("127.0.0.1", 1) if child.name == "broker"]
sys.exit(Supervisor(owner, lambda name, text: print(text, flush=True)).run())
"""


class Supervised:
    """The owner under the supervisor that `manage.py up` has, with what it printed and when."""

    def __init__(self, state: Path, port: int) -> None:
        self.lines: list[tuple[float, str]] = []
        environment = child_environment(
            AUTOTRADER_STATE_DIR=str(state), AUTOTRADER_BROKER_PORT=str(port), PYTHONPATH=str(ROOT)
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISE], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line))

    def times(self, words: str) -> list[float]:
        """When lines with these words came."""
        return [at for at, line in list(self.lines) if words in line]

    def ready(self, times: int = 1) -> float:
        """When the owner became ready for the n-th time."""
        return eventually(lambda: self.times("broker ready")[times - 1 :], 120)[0]


@pytest.fixture
def gateway(transactional_db: None, tmp_path: Path) -> Iterator[EmbeddedGateway]:
    with EmbeddedGateway(store_path=tmp_path / "paper.sqlite3") as running:
        yield running


@pytest.fixture
def supervised(
    gateway: EmbeddedGateway, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Supervised]:
    monkeypatch.setattr(remote, "PING_LIMIT", 30.0)  # an owner that is only slow is there
    made = Supervised(tmp_path, gateway.port)
    made.ready()
    settings.AUTOTRADER_STATE_DIR = tmp_path
    settings.AUTOTRADER_BROKER_PORT = gateway.port
    settings.AUTOTRADER_MAY_OWN_BROKER = False
    settings.AUTOTRADER_BROKER_SECRET = (tmp_path / "broker.secret").read_text().strip()
    yield made
    made.process.terminate()
    made.process.wait(60)


def owner_pid() -> int:
    with get_broker() as broker:
        found = re.search(r"pid (\d+)", broker.status().owner)
    assert found is not None
    return int(found[1])


def frames(gateway: EmbeddedGateway, name: str = "placeOrder") -> int:
    with ControlClient(gateway.host, gateway.control_port) as control:
        return int(control.status()["frames"].get(name, 0))


def market_bracket(broker: Broker, group: str) -> types.PlaceOrder:
    """A bracket whose entry fills at once."""
    order = bracket(broker, group)
    return changed(order, 0, order_type="MKT", limit_price=None)


def test_a_stopped_owner_is_replaced_and_nothing_is_sent_twice(
    supervised: Supervised, gateway: EmbeddedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    with get_broker() as broker:
        order = bracket(broker)
        broker.place(order)
        os.kill(owner_pid(), signal.SIGSTOP)
        stopped = time.monotonic()
        with monkeypatch.context() as patch, pytest.raises(BrokerUnavailable, match="does not answer"):
            patch.setattr(remote, "PING_LIMIT", IN_LIFE)
            broker.positions()
        assert time.monotonic() - stopped < AT_ONCE
        supervised.ready(2)
    with get_broker() as broker:
        assert all(leg.repeated for leg in broker.place(order).legs)
        assert {report.order_ref for report in broker.open_orders()} == {leg.order_ref for leg in order.legs}
    assert frames(gateway) == 3


def test_an_owner_killed_under_load_is_known_at_once_and_followed_without_loss(
    supervised: Supervised, gateway: EmbeddedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Load()
    with get_broker() as broker, monkeypatch.context() as patch:
        contract, owner = resolve(broker), owner_pid()
        patch.setattr(remote, "PING_LIMIT", IN_LIFE)
        load.start(contract.con_id)
        eventually(lambda: load.answers > 50 and BrokerMessage.objects.filter(kind="ExecutionReport").count() > 2, 120)
        killed = time.monotonic()
        os.kill(owner, signal.SIGKILL)
        eventually(lambda: load.refusals)
        supervised.ready(2)
        before = load.answers
        eventually(lambda: load.answers > before + 20, 120)
        load.stop()
    assert min(load.refused_at) - killed < AT_ONCE
    assert load.longest < AT_ONCE
    assert_nothing_lost(gateway)


class Load:
    """Eight threads that read and one that places brackets, and how they fared."""

    def __init__(self) -> None:
        self.answers = self.refusals = 0
        self.longest = 0.0
        self.refused_at: list[float] = []
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, con_id: int) -> None:
        jobs = [lambda broker, _: broker.quote(types.ConId(con_id))] * 4 + [lambda broker, _: broker.positions()] * 4
        jobs.append(lambda broker, number: broker.place(market_bracket(broker, f"L{number}")))
        self._threads = [threading.Thread(target=self._run, args=(job,)) for job in jobs]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, job: Any) -> None:
        number = 0
        while not self._stopping.wait(0.01):
            number += 1
            began = time.monotonic()
            try:
                with get_broker() as broker:
                    began = time.monotonic()
                    job(broker, number)
                self.answers += 1
            except BrokerUnavailable:
                self.refusals += 1
                self.refused_at.append(time.monotonic())
                self.longest = max(self.longest, time.monotonic() - began)
            except TradingDisabled:
                pass


def assert_nothing_lost(gateway: EmbeddedGateway) -> None:
    """Each Submission left at most once, and each execution that the gateway knows is applied."""
    with ControlClient(gateway.host, gateway.control_port) as control:
        sent = [fields for fields in control.frames("placeOrder") if fields]
    refs = Counter(field for fields in sent for field in fields if re.fullmatch(r"L\d+-[EST]", field))
    assert set(refs.values()) == {1}
    assert set(refs) <= set(Submission.objects.values_list("order_ref", flat=True))
    with get_broker() as broker:
        executed = {report.exec_id for report in broker.executions()}
    assert executed
    stored = BrokerMessage.objects.filter(kind="ExecutionReport", state="APPLIED")
    eventually(lambda: executed <= set(stored.values_list("exec_id", flat=True)))
