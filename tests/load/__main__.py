"""`make load`: every run on SQLite and on PostgreSQL, one table, exit 1 where a bound was missed."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.load.frame import Told
    from tests.load.house import House

VENDORS = ("sqlite", "postgresql")
# The rows of `history` and of `console` chain nothing, so each has a database of its own.
HOUSES = (
    ("fan_out", "stop_reading", "reconnect", "live", "sockets"),
    ("history",),
    ("console",),
    ("fills", "weights", "desk"),
)


def main() -> int:
    """Each house in a process of its own, since Django knows one database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", help=f"of {', '.join(name for names in HOUSES for name in names)}")
    parser.add_argument("--on", choices=VENDORS, action="append")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        return _measure(arguments.on[0], arguments.runs)
    codes = []
    for vendor in arguments.on or VENDORS:
        print(f"\n{vendor}", flush=True)
        for names in HOUSES:
            chosen = [name for name in names if not arguments.runs or name in arguments.runs]
            command = [sys.executable, "-m", "tests.load", "--here", "--on", vendor, *chosen]
            codes += [subprocess.run(command, check=False).returncode] if chosen else []
    return int(any(codes))


def _measure(vendor: str, wanted: list[str]) -> int:
    from tests.load import answers, console, desk_page, fills, sockets, streams, weights
    from tests.load.house import house

    runs: dict[str, Callable[[House], Sequence[Told]]] = {
        "fan_out": streams.fan_out,
        "stop_reading": streams.stop_reading,
        "reconnect": streams.reconnect,
        "live": answers.live,
        "history": answers.history,
        "sockets": sockets.sockets,
        "console": console.console,
        "fills": fills.fills,
        "weights": weights.weights,
        "desk": desk_page.desk_page,
    }
    failed = 0
    with house(vendor) as found:
        for name in wanted:
            for figure in runs[name](found):
                print(figure.line(), flush=True)
                failed += not figure.ok
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
