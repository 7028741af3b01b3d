"""A desk to throw away: every process of `manage.py up` on a state folder of its own, and keys for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests import environment

ROOT = Path(__file__).resolve().parent.parent.parent
START_S = 300
ADMIN_SCOPES = ("read", "trade", "halt", "admin")


@dataclass(frozen=True)
class World:
    """Where the desk answers, and the keys: one for everything, one that only reads."""

    url: str
    admin_key: str
    read_key: str

    def ready(self) -> bool:
        """Whether live endpoints answer."""
        request = urllib.request.Request(
            f"{self.url}/api/live/positions", headers={"Authorization": f"Bearer {self.admin_key}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return isinstance(json.load(answer), list)
        except OSError:
            return False

    def release(self) -> None:
        """Let the desk trade again after a generated halt."""
        from autotrader.core.users.models import User
        from broker.gates import HaltState, halt_reading
        from trading.services.halts import release

        reading = halt_reading()
        if reading.state is not HaltState.ACTIVE:
            person = User.objects.get(is_superuser=True)
            release(user=person, reason="the fuzz goes on", to=HaltState.ACTIVE, seen=reading.seen)


@contextmanager
def world() -> Iterator[World]:
    """Start everything, wait until the broker is ready, and end it afterwards."""
    port = _configure()
    import django

    django.setup()
    from django.core.management import call_command

    call_command("prepare", verbosity=0)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up"], cwd=ROOT, stdout=_log(), stderr=subprocess.STDOUT, env=os.environ
    )
    try:
        yield _opened(port, process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(100)


def _configure() -> int:
    environment.prepare()
    from tests.support import free_port

    port = free_port()
    os.environ |= {"AUTOTRADER_BIND": f"127.0.0.1:{port}", "AUTOTRADER_BROKER_PORT": str(free_port())}
    return port


def _log() -> Any:
    return (Path(os.environ["AUTOTRADER_STATE_DIR"]) / "up.log").open("wb")


def _opened(port: int, process: subprocess.Popen[bytes]) -> World:
    from autotrader.core.users.models import User
    from tests.support import eventually

    eventually(lambda: User.objects.filter(is_superuser=True).exists(), START_S)
    found = World(f"http://127.0.0.1:{port}", make_key(ADMIN_SCOPES), make_key(("read",)))
    eventually(lambda: process.poll() is not None or found.ready(), START_S, every=0.5)
    if process.poll() is not None:
        raise RuntimeError((Path(os.environ["AUTOTRADER_STATE_DIR"]) / "up.log").read_text()[-4000:])
    return found


def make_key(scopes: tuple[str, ...]) -> str:
    """A key of the first superuser."""
    from autotrader.core.clock import system_now
    from autotrader.core.users.keys import MOST_PER_MINUTE, Terms, key_create
    from autotrader.core.users.models import User

    terms = Terms("fuzz", scopes, system_now() + timedelta(days=1), requests_per_minute=MOST_PER_MINUTE)
    person = User.objects.filter(is_superuser=True).earliest("pk")
    return key_create(terms, user=person, actor="fuzz")[1]
