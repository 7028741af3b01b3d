"""`make load`: every run on SQLite and on PostgreSQL, one table, exit 1 where a bound was missed each time.

A bound is the program's, and a shared machine has bad minutes: what took too long is measured again, in a new house,
twice at most, and every time is printed, with what the machine gave just before. What was lost or doubled, what costs
too much memory or too many connections, and a run that came to no end are measured once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.load.frame import Told
    from tests.load.house import House

VENDORS = ("sqlite", "postgresql")
ENDING_S = 60
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
    parser.add_argument("--tries", type=int, default=3, help="how often a run that takes too long is made in all")
    parser.add_argument("--missed", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.missed:
        arguments.missed.write_text(json.dumps(_measure(arguments.on[0], arguments.runs)))
        return 0
    left = []
    for vendor in arguments.on or VENDORS:
        print(f"\n{vendor}", flush=True)
        for names in HOUSES:
            chosen = [name for name in names if not arguments.runs or name in arguments.runs]
            left += [f"{name} on {vendor}" for name in _tried(vendor, chosen, arguments.tries)]
    if left:
        print(f"\nmissed: {', '.join(left)}", flush=True)
    return int(bool(left))


def _tried(vendor: str, names: Sequence[str], tries: int) -> list[str]:
    """The runs that were late as often as they were made, and those that missed another bound once."""
    failed: list[str] = []
    late = list(names)
    for number in range(tries if names else 0):
        if number:
            print(f"\n  measured again: {', '.join(late)}", flush=True)
        missed = _in_a_house(vendor, late)
        failed += [name for name, is_late in missed.items() if not is_late]
        late = [name for name, is_late in missed.items() if is_late]
        if not late:
            break
    return failed + late


def _in_a_house(vendor: str, names: Sequence[str]) -> Mapping[str, bool]:
    """The runs that missed a bound, and whether they were only late: none was where their process came to no end."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "missed"
        command = [sys.executable, "-m", "tests.load", "--missed", str(file), "--on", vendor, *names]
        if _ended(subprocess.Popen(command)):
            return dict.fromkeys(names, False)
        found: dict[str, bool] = json.loads(file.read_text())
        return found


def _ended(child: subprocess.Popen[bytes]) -> int:
    """Its exit code. Told to stop, as by Ctrl-C, it ends what it has started before we go."""
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.wait(ENDING_S)
        raise


def _measure(vendor: str, wanted: Sequence[str]) -> dict[str, bool]:
    """Make these runs in one house; those that missed a bound, and whether they were only late."""
    from tests.load import answers, console, desk_page, fills, machine, sockets, streams, weights
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
    missed = {}
    with house(vendor) as found:
        for name in wanted:
            figures = [*machine.given(), *runs[name](found)]
            print("\n".join(figure.line() for figure in figures), flush=True)
            bad = [figure for figure in figures if not figure.ok]
            if bad:
                missed[name] = all(figure.is_late for figure in bad)
    return missed


if __name__ == "__main__":
    sys.exit(main())
