"""`manage.py up`: every process of the desk under one supervisor; Ctrl-C stops all."""

from __future__ import annotations

import os
import secrets
import sys
import threading
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from autotrader.core.errors import ConfigInvalid
from autotrader.core.ops import beats, value_files
from autotrader.core.ops.heartbeat import stalled
from autotrader.core.ops.single import AlreadyRunning, only_copy
from autotrader.core.ops.supervisor import CONFIGURATION, OWNED_ELSEWHERE, Child, Supervisor
from autotrader.management.gateways import listening
from broker.dead_man import DeadMan
from broker.paper_gateway.hold import held_address
from broker.service.liveness import Pulse
from broker.service.owner import Place, keeper_path

ADMIN = "admin"
PULSE_EVERY = 0.25
COLOURS = {"gateway": 35, "broker": 36, "work": 33, "now": 32, "web": 34}


class Command(BaseCommand):
    help = "Run the web, the workers, the broker's owner and the embedded gateway; Ctrl-C stops all of them."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit 0 after Ctrl-C, 2 or 3 where a child cannot run, 3 where another copy runs."""
        host, port = web_address()
        keeps = "" if settings.AUTOTRADER_BROKER_URL else Place().lock_path.name
        try:
            with only_copy(keeper_path(settings.AUTOTRADER_STATE_DIR), keeps=keeps):
                code = self._supervise(host, port)
        except AlreadyRunning as error:
            raise CommandError(error.message, returncode=OWNED_ELSEWHERE) from error
        if code:
            sys.exit(code)

    def _supervise(self, host: str, port: int) -> int:
        if listening(host, port):
            raise ConfigInvalid(f"AUTOTRADER_BIND={host}:{port} is in use by another program.")
        refuse_stranger()
        call_command("prepare", stdout=self.stdout)
        value_files.sweep()
        password = first_password()
        # The children get connections of their own, and a supervisor that only waits needs none.
        connection.close()
        printer = _Printer(self.stdout, colours=self.stdout.isatty() and "NO_COLOR" not in os.environ)
        kept = children(host, port)
        beats.supervise([child.name for child in kept])
        supervisor = Supervisor(kept, printer.line, announce=lambda: printer.block(self._welcome(host, port, password)))
        if settings.AUTOTRADER_BROKER_URL:  # the owner is another host's, and so is its dead man's switch
            return supervisor.run()
        dead_man = DeadMan(Place(), printer.line)
        dead_man.start()
        try:
            return supervisor.run()
        finally:
            dead_man.stop()

    def _welcome(self, host: str, port: int, password: str) -> list[str]:
        url = f"http://{host}:{port}"
        lines = [f"AutoTrader  {url}/", f"admin       {url}/admin/"]
        if password:
            lines += [
                f"user        {ADMIN}",
                f"password    {password}",
                "",
                "The password is shown this once; keep it.",
            ]
        return [*lines, "", "Ctrl-C stops everything."]


def web_address() -> tuple[str, int]:
    """Host and port of AUTOTRADER_BIND; raises ConfigInvalid."""
    host, _, port = settings.AUTOTRADER_BIND.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigInvalid(f"AUTOTRADER_BIND={settings.AUTOTRADER_BIND} is not host:port.")
    return host, int(port)


def first_password() -> str:
    """On the very first run make the admin with a random password and give it back; later "". It is kept nowhere."""
    users = get_user_model()
    if users.objects.exists():
        return ""
    password = secrets.token_urlsafe(15)
    users.objects.create_superuser(username=ADMIN, password=password)
    return password


def children(host: str, port: int) -> list[Child]:
    """The processes these settings call for, in the order in which they start."""
    manage = (sys.executable, str(settings.BASE_DIR / "manage.py"))
    found = []
    if gateway_is_ours():
        address = (settings.AUTOTRADER_BROKER_HOST, settings.AUTOTRADER_BROKER_PORT)
        command = (*manage, "run_paper_gateway")
        found.append(Child("gateway", command, _environment("gateway"), grace=4, ready=partial(listening, *address)))
    if not settings.AUTOTRADER_BROKER_URL:
        found.append(_owner((*manage, "run_broker")))
    for cluster in ("work", "now"):
        environment = _environment("worker", Q_CLUSTER_NAME=cluster)
        watch = partial(stalled, cluster)
        found.append(Child(cluster, (*manage, "qcluster"), environment, "workers", grace=8, stalled=watch))
    daphne = (sys.executable, "-m", "daphne", "-v", "0", "-b", host, "-p", str(port), "autotrader.asgi:application")
    found.append(Child("web", daphne, _environment("web"), grace=4, ready=partial(listening, host, port)))
    return found


def _owner(command: tuple[str, ...]) -> Child:
    """A stopped owner keeps the client id, so it is killed before another can follow.

    Where another program owns the connection, the desk goes on without and the owner tries again.
    """
    pulse = Pulse(Place().lock_path, lambda: str(settings.AUTOTRADER_BROKER_SECRET))
    return Child(
        "broker",
        command,
        _environment("broker"),
        grace=6,
        stalled=pulse.stalled,
        check_every=PULSE_EVERY,
        fatal=frozenset({CONFIGURATION}),
    )


def gateway_is_ours() -> bool:
    """True where the embedded gateway is meant and nobody has started one."""
    if settings.AUTOTRADER_BROKER != "paper" or settings.AUTOTRADER_BROKER_URL:
        return False
    return not listening(settings.AUTOTRADER_BROKER_HOST, settings.AUTOTRADER_BROKER_PORT)


def refuse_stranger() -> None:
    """Raises ConfigInvalid where the embedded gateway's usual port is taken by anything but the one on our store."""
    host, port = settings.AUTOTRADER_BROKER_HOST, settings.AUTOTRADER_BROKER_PORT
    embedded = settings.AUTOTRADER_BROKER == "paper" and not settings.AUTOTRADER_BROKER_URL
    if not embedded or settings.AUTOTRADER_BROKER_PORT_IS_SET or not listening(host, port):
        return
    ours = held_address(settings.AUTOTRADER_STATE_DIR / "paper.sqlite3")
    if ours is None or ours[1] != port:
        raise ConfigInvalid(
            f"Port {port} of {host}, where the embedded gateway listens, is in use by another program; "
            "set AUTOTRADER_BROKER_PORT to a free one."
        )


def _environment(role: str, **more: str) -> dict[str, str]:
    return {**os.environ, "AUTOTRADER_PROCESS_ROLE": role, "PYTHONUNBUFFERED": "1", **more}


class _Printer:
    """Lines of several processes, each behind its name."""

    def __init__(self, out: Any, *, colours: bool) -> None:
        self._out = out
        self._colours = colours
        self._lock = threading.Lock()

    def line(self, name: str, text: str) -> None:
        """One line of one process."""
        label = f"{name:<8}"
        if self._colours:
            label = f"\033[{COLOURS.get(name, 37)}m{label}\033[0m"
        with self._lock:
            self._out.write(f"{label}{text}")
            self._out.flush()

    def block(self, lines: list[str]) -> None:
        """A framed block that stands out."""
        width = max(len(line) for line in lines)
        rule = "─" * (width + 2)
        with self._lock:
            self._out.write("\n".join([f"┌{rule}┐", *(f"│ {line:<{width}} │" for line in lines), f"└{rule}┘"]))
            self._out.flush()
