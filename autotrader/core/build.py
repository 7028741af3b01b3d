"""Which build of the code is running."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@cache
def build_id() -> str:
    """The commit's first 12 digits where the code is a checkout, else the installed version, else "unknown"."""
    return _commit(ROOT / ".git")[:12] or _version()


def _commit(git: Path) -> str:
    try:
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        loose = git / name
        if loose.is_file():
            return loose.read_text().strip()
        packed = (git / "packed-refs").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")


def _version() -> str:
    try:
        return version("autotrader")
    except PackageNotFoundError:
        return "unknown"
