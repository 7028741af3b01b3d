"""What a call to send answers: by its recorded rows, and by what is proven not to have left."""

from __future__ import annotations

from collections.abc import Sequence

from broker import types
from broker.errors import OrderError, OrderInvalid, TradingDisabled
from broker.ib.errors import NotSent
from broker.models import Submission


def proven_unsent(error: Exception) -> bool:
    """The adapter raises these only before the first byte."""
    late = isinstance(error, OrderError) and error.reason == "LATE"
    return late or isinstance(error, (NotSent, TradingDisabled, OrderInvalid))


def outcome_of(rows: Sequence[Submission], *, repeated: bool, detail: str = "") -> types.PlaceOutcome:
    """One outcome a leg; `repeated` where the key was on record before."""
    return types.PlaceOutcome(
        tuple(
            types.LegOutcome(
                row.order_ref,
                row.revision,
                "VOID" if row.state == Submission.State.VOID else "SENT",
                repeated,
                detail or row.detail,
            )
            for row in rows
        )
    )
