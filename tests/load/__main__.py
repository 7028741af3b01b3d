"""`make load`: every run on SQLite and on PostgreSQL, one table, exit 1 where a bound was missed each time.

A bound is the program's, and a shared machine has bad minutes: a run waits a while until other machines are quiet, and
what took too long is measured again, in a new house, twice at most; where others took the processors meanwhile that is
no time of ours, and it is measured once more, five times at most. Every time is printed, with what the machine gave.
What was lost or doubled, what costs too much memory or too many connections, and a run that came to no end are measured
once. A run that held on this very code and machine is told, not made again, but with `--again`.
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

from tests.load import kept

if TYPE_CHECKING:
    from tests.load.frame import Told
    from tests.load.house import House

VENDORS = ("sqlite", "postgresql")
ENDING_S = 60
SPARE = 5  # houses of a vendor's row of runs beyond its tries, where others took the machine
# How a run missed a bound.
LATE, DISTURBED, LOST = "late", "late, on a machine that others took", "lost"
# The rows of `history` and of `console` chain nothing, so each has a database of its own; so has each page that fills
# come to, since their booking costs more as the ledger grows.
HOUSES = (
    ("fan_out", "stop_reading", "reconnect", "live", "sockets"),
    ("history",),
    ("console",),
    ("desk_line",),
    ("trade_row",),
    ("order_row",),
    ("weights", "desk"),
)
ASKED = (("fills",),)  # made where it is named
MADE = [name for names in HOUSES for name in names]


def main() -> int:
    """Each house in a process of its own, since Django knows one database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", help=f"of {', '.join(name for names in HOUSES + ASKED for name in names)}")
    parser.add_argument("--on", choices=VENDORS, action="append")
    parser.add_argument("--tries", type=int, default=3, help="how often a run that takes too long is made in all")
    parser.add_argument("--again", action="store_true", help="also what held on this code before")
    parser.add_argument("--missed", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.missed:
        missed, lines = _measure(arguments.on[0], arguments.runs)
        arguments.missed.write_text(json.dumps({"missed": missed, "lines": lines}))
        return 0
    left = []
    for vendor in arguments.on or VENDORS:
        print(f"\n{vendor}", flush=True)
        for names in HOUSES + ASKED:
            chosen = [name for name in names if name in (arguments.runs or MADE)]
            held = {} if arguments.again else kept.held(vendor)
            for name in (name for name in chosen if name in held):
                print(held[name].text(), flush=True)
            chosen = [name for name in chosen if name not in held]
            left += [f"{name} on {vendor}" for name in _tried(vendor, chosen, arguments.tries)]
    if left:
        print(f"\nmissed: {', '.join(left)}", flush=True)
    return int(bool(left))


def _tried(vendor: str, names: Sequence[str], tries: int) -> list[str]:
    """The runs that were late as often as they were made, and those that missed another bound once."""
    failed: list[str] = []
    late, spare = dict.fromkeys(names, 0), SPARE
    while late:
        missed = _in_a_house(vendor, list(late))
        failed += [name for name, how in missed.items() if how == LOST]
        is_spared = spare > 0 and DISTURBED in missed.values()
        spare -= is_spared
        counted = {name: late[name] + (how == LATE or not is_spared) for name, how in missed.items() if how != LOST}
        failed += [name for name, times in counted.items() if times >= tries]
        late = {name: times for name, times in counted.items() if times < tries}
        if late:
            print(f"\n  measured again: {', '.join(late)}", flush=True)
    return failed


def _in_a_house(vendor: str, names: Sequence[str]) -> Mapping[str, str]:
    """The runs that missed a bound, and how: none was only late where their process came to no end."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "missed"
        command = [sys.executable, "-m", "tests.load", "--missed", str(file), "--on", vendor, *names]
        if _ended(subprocess.Popen(command)):
            return dict.fromkeys(names, LOST)
        measured = json.loads(file.read_text())
    missed: dict[str, str] = measured["missed"]
    for name in (name for name in names if name not in missed):
        kept.keep(vendor, name, measured["lines"][name])
    return missed


def _ended(child: subprocess.Popen[bytes]) -> int:
    """Its exit code. Told to stop, as by Ctrl-C, it ends what it has started before we go."""
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.wait(ENDING_S)
        raise


def _measure(vendor: str, wanted: Sequence[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Make these runs in one house; those that missed a bound, and how; the lines of each."""
    from tests.load import answers, console, desk_page, fills, machine, sockets, streams, weights
    from tests.load.frame import Figure
    from tests.load.house import house

    runs: dict[str, Callable[[House], Sequence[Told]]] = {
        "fan_out": streams.fan_out,
        "stop_reading": streams.stop_reading,
        "reconnect": streams.reconnect,
        "live": answers.live,
        "history": answers.history,
        "sockets": sockets.sockets,
        "console": console.console,
        "desk_line": fills.looked_at("desk"),
        "trade_row": fills.looked_at("trades"),
        "order_row": fills.looked_at("orders"),
        "fills": fills.all_at_once,
        "weights": weights.weights,
        "desk": desk_page.desk_page,
    }
    missed: dict[str, str] = {}
    lines: dict[str, list[str]] = {}
    with machine.awake() as kept_awake, house(vendor) as found:
        for name in wanted:
            before: list[Told] = [kept_awake, machine.waited(), *machine.given()]
            others = machine.Others.now()
            figures = [*before, *runs[name](found)]
            taken = others.share()
            figures.append(Figure("taken by other machines meanwhile", taken, "%"))
            lines[name] = [figure.line() for figure in figures]
            print("\n".join(lines[name]), flush=True)
            bad = [figure for figure in figures if not figure.ok]
            if bad:
                late = DISTURBED if taken > machine.DISTURBED else LATE
                missed[name] = late if all(figure.is_late for figure in bad) else LOST
    return missed, lines


if __name__ == "__main__":
    sys.exit(main())
