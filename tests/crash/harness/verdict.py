"""The oracle's word on a desk that has settled."""

from __future__ import annotations

from autotrader.core.ops.pace import factor
from broker.paper_gateway.running import DEFAULT_CASH
from tests.crash.harness import client, provider, reader
from tests.crash.harness.desk import Desk
from tests.crash.harness.oracle import judge
from tests.crash.harness.world import Answer, Rows, World, frames_of


def violations(desk: Desk, before: Rows | None) -> list[str]:
    """What is wrong, in sentences; empty where every promise was kept. `before`: the rows before a second recovery."""
    desk.freeze()
    world = World(
        truth=desk.gateway.truth(),
        frames=frames_of(desk.gateway.log),
        cash_start=DEFAULT_CASH,
        seen=reader.seen(desk.reader_log),
        factor=factor(),
        provider_calls=provider.asked(desk.folder),
        owner_stopped=desk.owner_stopped,
        halted_at=desk.halted_at,
        before=before,
        answers=[Answer(**row) for row in client.answers(desk.folder)],
    )
    return [f"{found.rule} {found.subject}: {found.detail}" for found in judge(world)]
