"""A desk that trades: the gateway, the owner of its connection and the web process, each a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.load.gateway import FILLS
from tests.load.house import House, Web
from tests.support import ROOT


@dataclass(frozen=True)
class Desk:
    """What runs. `house` has the environment of its processes."""

    house: House
    web: Web
    control_port: int

    def executions(self) -> dict[str, int]:
        """When the gateway executed what: ns of wall time by exec id, over all of its lives."""
        lines = (Path(self.house.environment["AUTOTRADER_STATE_DIR"]) / FILLS).read_text().splitlines()
        return {found["exec_id"]: found["at_ns"] for found in map(json.loads, lines)}

    @contextmanager
    def trading(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """`tests.load.trader` beside us; its lines are read from stdout."""
        with _process(("-m", "tests.load.trader", *arguments), self.house.environment) as process:
            yield process


@contextmanager
def desk(house: House) -> Iterator[Desk]:
    """Started in the order of `manage.py up`, on the rows of a person's first start and wide limits."""
    _wide_limits()
    state = house.environment["AUTOTRADER_STATE_DIR"]
    with _process(("-m", "tests.load.gateway", state), house.environment) as gateway:
        port, control_port = json.loads(_line(gateway))
        told = {**house.environment, "AUTOTRADER_BROKER_HOST": "127.0.0.1", "AUTOTRADER_BROKER_PORT": str(port)}
        home = replace(house, environment=told)
        home.run("manage.py", "prepare")
        with _process(("manage.py", "run_broker"), {**told, "AUTOTRADER_PROCESS_ROLE": "broker"}) as owner:
            while not _line(owner).startswith("broker ready"):
                pass
            with home.web() as web:
                yield Desk(home, web, control_port)


@contextmanager
def _process(command: Sequence[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    told = {**environment, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([sys.executable, *command], env=told, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended with {process.wait()}")
    return line


def _wide_limits() -> None:
    """The desk's own limits so wide that one may trade all day; what limits do is looked at elsewhere."""
    from tests.crash.harness.base import LIMITS
    from trading.models import RiskProfile
    from trading.services.strategies import risk_profile_save

    if not RiskProfile.objects.filter(is_desk=True).exists():
        risk_profile_save(RiskProfile(name="wide", is_desk=True, **LIMITS), actor="load")
