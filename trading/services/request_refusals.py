"""The refusal that the controls' verdicts come to."""

from __future__ import annotations

from collections.abc import Sequence

from autotrader.core.errors import AutoTraderError
from trading.risk.base import Verdict
from trading.selectors.request_statuses import status_of


class Refused(AutoTraderError):
    """A control refuses the order: correct its terms. `details` has what each refusing control says, `verdicts` all."""

    code = "REFUSED"
    status = 422
    verdicts: Sequence[Verdict] = ()


class Shut(Refused):
    """No change of the order would help: a gate is shut, until a person or time opens it."""

    status = 403


class InTheWay(Refused):
    """Something else stands in the order's way: look at what is there first."""

    status = 409


class OnlyProposes(AutoTraderError):
    """The key may only propose orders and take its own proposals back: use one with the scope trade."""

    code = "SCOPE_MISSING"
    status = 403


class RequestMoved(AutoTraderError):
    """The desk trades another account, or the name another strategy, than when it was asked for: ask anew."""

    code = "REQUEST_MOVED"
    status = 409


class GivenUp(AutoTraderError):
    """Nobody asked again for so long that the request was ended, with nothing sent: ask anew under another key."""

    code = "GIVEN_UP"
    status = 409


class ChangeRejected(AutoTraderError):
    """The broker or the last gate before it took no change or cancel: read the order, which is as it was."""

    code = "CHANGE_REJECTED"
    status = 409


def refusal_of(verdicts: Sequence[Verdict]) -> Refused | None:
    """The first control that refuses, with every other that does; None where all allow it."""
    against = [verdict for verdict in verdicts if not verdict.allowed]
    if not against:
        return None
    said = [{"rule": verdict.rule, "code": verdict.code, "message": verdict.message} for verdict in against]
    first = against[0]
    kind = {Shut.status: Shut, InTheWay.status: InTheWay}.get(status_of(first.code, Refused.status), Refused)
    refused = kind(first.message, code=first.code, details={"reasons": said})
    refused.verdicts = tuple(verdicts)
    return refused
