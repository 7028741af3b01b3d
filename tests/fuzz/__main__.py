"""`make fuzz`: a running desk under generated requests, with the figures; exit 1 where one answer is wrong."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tests.fuzz.running import Figures, fuzz
from tests.fuzz.stream import fuzz_stream
from tests.fuzz.world import World, world

LEAST = 20_000
SECONDS = 900.0
SYMBOLS = ["AAPL", "SPY", "IBM"]  # the demo strategy's
RELEASE_EVERY = 200  # requests
OPERATIONS = 60  # about as many as there are: so that every one has its share of the requests


def main() -> int:
    """Fuzz with the key of every scope, then with the one that only reads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=LEAST, help="stop when this many requests were answered")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="stop after this time at the latest")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="the path of one operation, as the document has it")
    options = parser.parse_args()
    began = time.monotonic()
    with world() as desk:
        document = _told(desk, "/api/schema")
        wide = _run(document, desk, desk.admin_key, options, share=0.85)
        narrow = _run(document, desk, desk.read_key, options, share=0.15)
        stream = fuzz_stream(desk.url, desk.read_key)
    runs = {"every scope": wide, "read only": narrow, "the event stream": stream}
    _print(runs, options, time.monotonic() - began)
    enough = bool(options.only) or sum(figures.cases for figures in runs.values()) >= min(options.cases, LEAST)
    return 0 if enough and all(figures.ok for figures in runs.values()) else 1


def _run(document: dict[str, Any], desk: World, key: str, options: argparse.Namespace, *, share: float) -> Figures:
    from tests.fuzz.known import known_of

    released = 0
    ask = _told(desk, f"/api/market/quote?symbol={SYMBOLS[0]}")["ask"]

    def heard(figures: Figures) -> bool:
        nonlocal released
        if figures.cases - released > RELEASE_EVERY:
            released = figures.cases
            desk.release()
            print(f"\r{figures.cases} requests, {len(figures.failures)} failures", end="", file=sys.stderr, flush=True)
        return figures.cases < options.cases * share

    return fuzz(
        document,
        key,
        examples=max(10, int(options.cases * share) // OPERATIONS),
        seconds=options.seconds * share,
        seed=options.seed,
        url=desk.url,
        only=options.only,
        known=known_of(SYMBOLS, Decimal(ask)),
        heard=heard,
    )


def _told(desk: World, path: str) -> dict[str, Any]:
    request = urllib.request.Request(desk.url + path, headers={"Authorization": f"Bearer {desk.read_key}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def _print(runs: Mapping[str, Figures], options: argparse.Namespace, seconds: float) -> None:
    total, statuses = Counter[str](), Counter[int]()
    for figures in runs.values():
        total += figures.by_operation
        statuses += figures.by_status
    print(f"\n{'requests':>9}  operation")
    for name, count in sorted(total.items(), key=lambda found: found[0].split()[::-1]):
        print(f"{count:>9}  {name}")
    print(f"\nanswers by status  {', '.join(f'{status}: {count}' for status, count in sorted(statuses.items()))}")
    for run, figures in runs.items():
        for name, told in figures.failures.items():
            print(f"\nFAILED ({run}): {name}\n  {told}")
        for error in figures.errors:
            print(f"\nERROR ({run}): {error}")
    failed = sum(len(figures.failures) + len(figures.errors) for figures in runs.values())
    print(
        f"\n{total.total()} requests to {len(total)} operations in {seconds:.0f} s, seed {options.seed}: "
        f"{failed} failures ({platform.machine()}, Python {platform.python_version()})"
    )
    if failed:
        print(f"again: {sys.executable} -m tests.fuzz --seed {options.seed} --only <path>")


if __name__ == "__main__":
    sys.exit(main())
