"""A year of daily cycles over three symbols, replayed through the real socket."""

from __future__ import annotations

import io
import time
from datetime import date

from tests.bench.frame import Measured, bench
from tests.support import REAL_BARS

STEPS = 252
FIRST = date(2019, 1, 2)
SYMBOLS = ["SPY", "AAPL", "IBM"]


@bench("252 daily steps x 3 symbols of replay, rules", target=60)
def year() -> Measured:
    """On the real bars where they are; on seeded prices elsewhere. Set-up is not counted, the stepping is."""
    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    settings.AUTOTRADER_PAPER_DATA = str(REAL_BARS) if REAL_BARS.is_dir() else ""
    call_command("prepare", stdout=io.StringIO())
    from autotrader.management.gateways import replay, session_closes
    from trading.models import Strategy
    from trading.services.cycles import cycle_queue
    from trading.workflow.lanes import run_cycle_here

    strategy = Strategy.objects.get(name="demo")
    closes = session_closes(FIRST, STEPS * 2, SYMBOLS)
    with replay("DUR9999999", closes[0]) as market:
        started = time.perf_counter()
        for close in closes[1 : STEPS + 1]:
            cycle = cycle_queue(strategies=[strategy], trigger="command", actor="bench", lane="bench", wake=False)
            run_cycle_here(cycle, market.broker)
            market.advance(close)
        return Measured(time.perf_counter() - started)
