"""Every fault by its name."""

from __future__ import annotations

from broker.paper_gateway.faults import connectivity, delivery, executions, refusals, sockets
from broker.paper_gateway.faults.base import Fault

FAULTS: dict[str, type[Fault]] = {
    kind.name: kind
    for kind in (
        *(delivery.Drop, delivery.Delay, delivery.Slow, delivery.Reorder, delivery.Duplicate),
        *(delivery.Silent, delivery.Unanswered, delivery.ClockSkew),
        *(sockets.Reset, sockets.HalfFrame, sockets.BlackHole, sockets.HalfOpen, sockets.RefuseConnections),
        *(sockets.Restart, connectivity.Connectivity),
        *(refusals.Refuse, refusals.Reject, refusals.TooManySummaries, refusals.TooManyHistories),
        *(executions.CorrectExecution, executions.BustExecution, executions.SplitFills),
        *(refusals.Ghost, refusals.Login, refusals.Competing, refusals.Farm, refusals.Pacing),
    )
}
