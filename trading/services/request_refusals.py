"""The refusal that the controls' verdicts come to."""

from __future__ import annotations

from collections.abc import Sequence

from autotrader.core.errors import AutoTraderError
from trading.risk.base import Verdict


class Refused(AutoTraderError):
    """A control refuses the order; `details` has every control's word."""

    code = "REFUSED"
    status = 422


def refusal_of(verdicts: Sequence[Verdict]) -> Refused | None:
    """The first control that refuses, with every other that does; None where all allow it."""
    against = [verdict for verdict in verdicts if not verdict.allowed]
    if not against:
        return None
    said = [{"rule": verdict.rule, "code": verdict.code, "message": verdict.message} for verdict in against]
    return Refused(against[0].message, code=against[0].code, details={"reasons": said})
