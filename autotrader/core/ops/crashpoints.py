"""Named places at which a test can kill the process; inert unless AUTOTRADER_CRASH names one."""

from __future__ import annotations

import os
import signal

_hits: dict[str, int] = {}


def crashpoint(name: str) -> None:
    """Die by SIGKILL here on the n-th pass where AUTOTRADER_CRASH is `name:n`."""
    wanted, _, count = os.environ.get("AUTOTRADER_CRASH", "").partition(":")
    if wanted != name:
        return
    _hits[name] = _hits.get(name, 0) + 1
    if _hits[name] >= int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
