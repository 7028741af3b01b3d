"""A real web process for tests, and a relay in front of its database that can hang or refuse."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from django.db import connection

from tests.support import ROOT, child_environment, eventually, free_port


@dataclass(frozen=True)
class Told:
    """One answer, with the seconds it took."""

    status: int
    body: bytes
    headers: dict[str, str]
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Web:
    """daphne on a free port, with a state folder of its own; gone after the block."""

    def __init__(self, state: Path, **environment: str) -> None:
        self.port = free_port()
        given = {"AUTOTRADER_STATE_DIR": str(state), "AUTOTRADER_PROCESS_ROLE": "web", **environment}
        command = [sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(
            [*command, "autotrader.asgi:application"], cwd=ROOT, env=child_environment(**given)
        )

    def __enter__(self) -> Web:
        eventually(self._listens, 100, every=0.1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()

    def get(self, path: str, method: str = "GET", **headers: str) -> Told:
        """One request on a connection of its own."""
        began = time.monotonic()
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            link.request(method, path, headers=headers)
            answer = link.getresponse()
            body = answer.read()
        finally:
            link.close()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Told(answer.status, body, told, time.monotonic() - began)

    def _listens(self) -> bool:
        assert self.process.poll() is None, "the web has ended"
        with suppress(OSError):
            return self.get("/health").status in (200, 503)
        return False


class Relay:
    """Stands before PostgreSQL. `hang` accepts and forwards nothing, `refuse` hangs up and listens no more."""

    def __init__(self) -> None:
        self.port = free_port()
        self._open = threading.Event()
        self._ends: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.open()

    def __enter__(self) -> Relay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.set()
        self.refuse()

    def url(self) -> str:
        """The test database's, through here."""
        config = connection.settings_dict
        return f"postgresql://{config['USER']}@127.0.0.1:{self.port}/{config['NAME']}?sslmode=disable"

    def hang(self) -> None:
        self._open.clear()

    def refuse(self) -> None:
        if self._listener is not None:
            _hang_up(self._listener)
            self._listener = None
        while self._ends:
            _hang_up(self._ends.pop())

    def open(self) -> None:
        self._open.set()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        self._open.wait()
        server = _database()
        self._ends |= {client, server}
        if self._listener is None:  # it was told to refuse while this one came in
            self.refuse()
            return
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._open.wait()
                sink.sendall(data)
        for end in (source, sink):
            _hang_up(end)


def _database() -> socket.socket:
    config = connection.settings_dict
    host = config["OPTIONS"].get("host") or config["HOST"]
    if not host.startswith("/"):
        return socket.create_connection((host, int(config["PORT"] or 5432)))
    link = socket.socket(socket.AF_UNIX)
    link.connect(f"{host}/.s.PGSQL.{config['PORT'] or 5432}")
    return link


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


def state_folder(place: Path) -> Path:
    """A state folder with the secrets that the test process has, so that what it makes is believed."""
    place.mkdir(exist_ok=True)
    own = Path(os.environ["AUTOTRADER_STATE_DIR"])
    for name in ("broker.secret", "django.secret"):
        (place / name).write_text((own / name).read_text())
        (place / name).chmod(0o600)
    (place / "static").mkdir(exist_ok=True)
    return place
