"""Keeping what every control said, of a decision, of a request, and once more at the moment of sending."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autotrader.core.clock import system_now
from trading.models import Decision, OrderRequest, RiskVerdict
from trading.risk.base import Verdict


def verdicts_save(
    verdicts: Sequence[Verdict], *, decision: Decision | None = None, request: OrderRequest | None = None
) -> None:
    """Keep all of them, allowed and refused, for the one cause that is given; call inside `audit.recording()`."""
    now = system_now()
    RiskVerdict.objects.bulk_create(
        RiskVerdict(
            decision=decision,
            request=request,
            rule=verdict.rule,
            allowed=verdict.allowed,
            code=verdict.code[:40],
            message=verdict.message,
            values=verdict.values,
            at=now,
        )
        for verdict in verdicts
    )


def verdicts_document(verdicts: Sequence[Verdict]) -> dict[str, dict[str, Any]]:
    """The verdicts by rule, as they stand in an order's configuration."""
    return {verdict.rule: {"allowed": verdict.allowed, "code": verdict.code, **verdict.values} for verdict in verdicts}
