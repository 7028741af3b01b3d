"""The audit log: how fast a chain is walked."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.bench.frame import Measured, bench, seconds_of

ROWS = 100_000
BATCH = 2_000
DOCUMENT = {"order_ref": "A2345-E", "role": "entry", "side": "BUY", "quantity": "10", "limit_price": "100.25"}


@bench(f"verify_audit, {ROWS:,} rows (50,000 a second)", target=ROWS / 50_000)
def walk() -> Measured:
    """On the bench's own SQLite file, with documents of an order's size."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from autotrader.core.audit.models import AuditHead
    from autotrader.core.audit.verify import verify_chain

    have = AuditHead.objects.get(pk=1).seq
    for batch in range(max(0, ROWS - have) // BATCH):
        _record(batch)
    rows = AuditHead.objects.get(pk=1).seq
    seconds = min(seconds_of(verify_chain) for _ in range(3))
    return Measured(seconds * ROWS / rows)


def _record(batch: int) -> None:
    from autotrader.core import audit
    from autotrader.core.audit.event_types import EventType

    market_at = datetime(2019, 6, 3, 20, tzinfo=UTC)
    with audit.acting(actor="bench", correlation_id=f"bench{batch}"), audit.recording():
        for number in range(BATCH):
            audit.record(
                EventType.ORDER_SENDING,
                f"order:{number}",
                version=batch,
                old_state="APPROVED",
                new_state="SENDING",
                account="DU1",
                cause="intent",
                market_at=market_at,
                document=DOCUMENT,
            )
