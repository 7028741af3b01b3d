"""Writes events as services do: `--rate N` a second until stdin ends, or `--threads T --each N` as fast as it goes."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from functools import partial


def main() -> None:
    """Prints how many were written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--each", type=int, default=0)
    parser.add_argument("--together", type=int, default=1, help="events a transaction")
    arguments = parser.parse_args()
    import django

    django.setup()
    if arguments.rate:
        print(_at_a_rate(arguments.rate), flush=True)
        return
    from tests.support import in_threads

    job = partial(_as_fast, arguments.each, arguments.together)
    print(sum(in_threads([job] * arguments.threads, threads=arguments.threads)), flush=True)


def _at_a_rate(rate: float) -> int:
    stopped = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
    began, count = time.monotonic(), 0
    while not stopped.wait(max(0.0, began + count / rate - time.monotonic())):
        _write(1)
        count += 1
    return count


def _as_fast(each: int, together: int) -> int:
    for _ in range(each):
        _write(together)
    return each * together


def _write(count: int) -> None:
    """`sent_ns` is read before the transaction begins, so that its commit counts as the stream's time.

    The correlation id tells it too: pages are told this and no documents.
    """
    from autotrader.core.audit import acting, record, recording
    from autotrader.core.audit.event_types import EventType

    now = time.monotonic_ns()
    told = {"sent_ns": now, "text": "as long as an order's own words are: " + "x" * 120}
    with acting(correlation_id=f"sent-{now}"), recording():
        for _ in range(count):
            record(EventType.ORDER_ACCEPTED, "order:load", account="DU1", document=told)


if __name__ == "__main__":
    main()
