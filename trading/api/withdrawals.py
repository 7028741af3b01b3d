"""Taking back what waits under an approval over REST: before it is sent, and without the broker."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.rest.idempotency import InProgress
from autotrader.core.rest.serializers import Body
from autotrader.core.rest.views import Endpoint, idempotency_key
from trading.api.orders import PERMISSION, answered, caller_of
from trading.models import Approval
from trading.models.approval import ApprovalState
from trading.models.request import RequestKind
from trading.services.approval_states import ApprovalRefused, ApprovalUnknown
from trading.services.brokers import broker_or_away
from trading.services.request_refusals import GivenUp, OnlyProposes
from trading.services.requests import cancel_request, request_told


@dataclass(frozen=True, slots=True)
class WithdrawnDocument:
    """What became of the approval; its terms and votes are for those who may view approvals, at its own address."""

    id: int
    state: ApprovalState
    reason: str


class WithdrawBody(Body):
    """Why it is not to be sent."""

    reason = serializers.CharField(max_length=500, required=False, allow_blank=True, allow_null=True)


class WithdrawEndpoint(Endpoint):
    """POST: take back an order that waits for a person or for its sending, also an exit; it is never sent then.

    A key that may only propose takes back what it proposed itself. 409 where it was sent, or has ended.
    """

    permissions = {"POST": PERMISSION}
    idempotent = "own"
    body = WithdrawBody
    answers = {"POST": WithdrawnDocument}
    errors = (ApprovalUnknown, ApprovalRefused, OnlyProposes, GivenUp)

    def post(self, request: Request, pk: int) -> Response:
        caller, key = caller_of(request), idempotency_key(request)
        body = {**self.told(request), "approval": pk}
        outcome = request_told(caller=caller, key=key, kind=RequestKind.CANCEL, body=body)
        if outcome is None:
            with broker_or_away() as broker:
                outcome = cancel_request(caller=caller, key=key, body=body, broker=broker)
        if outcome.status:
            return answered(outcome)
        if outcome.state != "ACCEPTED":
            raise InProgress("Another process works on this request; ask again.")
        row = Approval.objects.only("state", "reason").get(pk=pk)
        return Response(asdict(WithdrawnDocument(row.pk, ApprovalState(row.state), row.reason)))
