"""What held on this very code and machine: a whole `make load` takes most of an hour, and goes on from there."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import psutil

from autotrader.core.clock import system_now
from tests.support import ROOT

FILE = ROOT / ".make" / "load.jsonl"
CODE = ("autotrader", "broker", "research", "trading", "templates", "tests/load", "requirements.txt")
SKIPPED = {"__pycache__", "node_modules"}


@dataclass(frozen=True)
class Held:
    """One run within all of its bounds, as it was printed then."""

    code: str
    machine: str
    vendor: str
    name: str
    at: str
    lines: Sequence[str]

    def text(self) -> str:
        """For the table."""
        return "\n".join((f"  held on this code, {self.at}", *self.lines))


def keep(vendor: str, name: str, lines: Sequence[str]) -> None:
    """Note that the run held just now."""
    FILE.parent.mkdir(exist_ok=True)
    held = Held(code(), machine(), vendor, name, f"{system_now():%Y-%m-%d %H:%M} UTC", lines)
    with FILE.open("a") as file:
        file.write(json.dumps(asdict(held)) + "\n")


def held(vendor: str) -> dict[str, Held]:
    """By their names the runs that held here on the code as it is now."""
    rows = [Held(**json.loads(line)) for line in FILE.read_text().splitlines()] if FILE.exists() else []
    here = (code(), machine(), vendor)
    return {row.name: row for row in rows if (row.code, row.machine, row.vendor) == here}


@cache
def code() -> str:
    """A digest of what is measured, of what measures it, and of how short it was asked to be."""
    shorter = sorted(item for item in os.environ.items() if item[0].startswith("AUTOTRADER_LOAD_"))
    digest = hashlib.sha256(repr(shorter).encode())
    for path in sorted(path for name in CODE for path in _files(ROOT / name)):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _files(path: Path) -> list[Path]:
    found = [path] if path.is_file() else path.rglob("*")
    return [one for one in found if one.is_file() and not SKIPPED & {*one.parts} and not one.name.startswith("test_")]


def machine() -> str:
    """The processor by its name and number, and the interpreter: a distribution builds a faster one."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {psutil.cpu_count()} cores, Python {platform.python_version()} of {platform.python_build()[1]}"


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []
