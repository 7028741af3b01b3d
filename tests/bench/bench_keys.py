"""What a key costs at the door of the API."""

from __future__ import annotations

import io
import statistics
from datetime import timedelta

from tests.bench.frame import Measured, bench, seconds_of

ROUNDS = 5000


@bench("API key check, cached, p99", target=0.001)
def cached() -> Measured:
    """From the text to its owner and the answer to one permission, while the key is remembered."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("prepare", stdout=io.StringIO())
    from autotrader.core.clock import system_now
    from autotrader.core.users.key_ring import RING
    from autotrader.core.users.keys import Terms, key_create
    from autotrader.core.users.models import User

    owner, _ = User.objects.get_or_create(username="bench")
    terms = Terms("bench", ("read",), system_now() + timedelta(days=1))
    _, text = key_create(terms, user=owner, actor="bench")

    def check() -> None:
        found = RING.find(text, "127.0.0.1", tick=0.0, now=system_now())
        if found.key is None or found.key.user.has_perm("trading.view_order"):
            raise RuntimeError("the key opens what it should not, or nothing")

    check()
    times = [seconds_of(check) for _ in range(ROUNDS)]
    return Measured(statistics.quantiles(times, n=100)[-1])
