"""The environment of a test process: its own state folder and database file, nothing of the developer's settings."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import Any

FOLDER = "AUTOTRADER_TEST_FOLDER"
KEPT = {"AUTOTRADER_DATABASE_URL", "AUTOTRADER_REQUIRE_BROWSER", FOLDER}
OURS = ("AUTOTRADER_", "OPENAI_", "Q_CLUSTER_")
NAMES = {"TRADING_MODE", "ORDERS_ENABLED", "PAPER_TRADING_MODE", "LIVE_TRADING_OVERRIDE_FILE", "LOG_LEVEL"}
SHARED_MEMORY = Path("/dev/shm")
ROOM = 1 << 30
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))


def fast_folder() -> Path:
    """Where test databases lie: shared memory, or the temporary folder where that has under 1 GB free."""
    if SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free > ROOM:
        return SHARED_MEMORY
    return Path(tempfile.gettempdir())


def prepare() -> None:
    """Set the environment; settings must not be loaded yet."""
    for name in list(os.environ):
        if (name.startswith(OURS) or name in NAMES) and name not in KEPT:
            del os.environ[name]
    folder = Path(tempfile.mkdtemp(dir=_common_folder()))
    (folder / "state" / "static").mkdir(parents=True)
    os.environ |= {
        "AUTOTRADER_ENV_FILE": "none",
        "AUTOTRADER_LOG_DIR": "none",
        "LOG_LEVEL": "warning",  # a line for each event would be formatted for nobody
        "AUTOTRADER_STATE_DIR": str(folder / "state"),
        "AUTOTRADER_TEST_SQLITE": str(folder / "test.sqlite3"),
        "DJANGO_SETTINGS_MODULE": "autotrader.settings",
    }


def own_state(settings: Any) -> None:
    """Give this process's settings the folder that `prepare` made.

    pytest-django reads the settings of an xdist worker before any conftest, with the environment of the process that
    started it: all workers would share one folder, and one's halt would halt the others.
    """
    own = Path(os.environ["AUTOTRADER_STATE_DIR"])
    settings.AUTOTRADER_STATE_DIR = own
    settings.STATIC_ROOT, settings.MEDIA_ROOT = own / "static", own / "files"
    settings.AUTOTRADER_ANCHOR_DIR = str(own / "anchors")
    (own / "broker.secret").write_text(settings.AUTOTRADER_BROKER_SECRET)
    (own / "django.secret").write_text(settings.SECRET_KEY)


def _common_folder() -> str:
    """One folder for this run; the process that made it removes it, also for workers that were killed."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="autotrader-test-", dir=fast_folder())
        atexit.register(shutil.rmtree, os.environ[FOLDER], ignore_errors=True)
    return os.environ[FOLDER]


def close_network() -> None:
    """From here on, a socket of this process that leaves the machine raises."""
    sys.addaudithook(_refuse_outside)


def _refuse_outside(event: str, arguments: tuple[Any, ...]) -> None:
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        address = arguments[1]
        if isinstance(address, tuple) and not _is_local(address[0]):
            raise RuntimeError(f"a test tried to reach {address[0]}; only loopback is open")
    elif event == "socket.getaddrinfo" and not _is_local(arguments[0]):
        raise RuntimeError(f"a test tried to look up {arguments[0]}; only loopback is open")


def _is_local(host: str | bytes | None) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if not name or name == "localhost":
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
