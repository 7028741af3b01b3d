"""Approvals over REST: what waits, and a person's word on it, bound to the digest that was shown."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.rest.errors import Malformed
from autotrader.core.rest.views import Endpoint
from trading.models import Approval
from trading.selectors.approvals import approvals_recent, with_details
from trading.services.approval_states import ApprovalUnknown
from trading.services.approvals import PERMISSION, Word
from trading.workflow.approving import decide

DIGEST_LENGTH = 64


class ApprovalsEndpoint(Endpoint):
    """GET: the newest approvals, those that wait first."""

    permissions = {"GET": "trading.view_approval"}

    def get(self, request: Request) -> Response:
        return Response([document(approval) for approval in approvals_recent()])


class ApprovalEndpoint(Endpoint):
    """GET: one approval with its exact terms and digest."""

    permissions = {"GET": "trading.view_approval"}

    def get(self, request: Request, pk: int) -> Response:
        approval = with_details().filter(pk=pk).first()
        if approval is None:
            raise ApprovalUnknown(f"There is no approval {pk}.")
        return Response(document(approval))


class WordEndpoint(Endpoint):
    """POST {"digest", "reason"}: this person's yes or no, once."""

    permissions = {"POST": PERMISSION}
    idempotent = "optional"
    approve = False

    def post(self, request: Request, pk: int) -> Response:
        word = Word(request.user, self.approve, *_said(request))  # type: ignore[arg-type]
        approval = decide(pk, word)
        return Response(document(with_details().get(pk=approval.pk)))


class ApproveEndpoint(WordEndpoint):
    """POST: yes; the last one that is needed sends the order."""

    approve = True


class RejectEndpoint(WordEndpoint):
    """POST: no; it ends the order."""


def _said(request: Request) -> tuple[str, str]:
    body = request.data if isinstance(request.data, dict) else {}
    digest, reason = body.get("digest"), body.get("reason", "")
    if not isinstance(digest, str) or len(digest) != DIGEST_LENGTH or not isinstance(reason, str):
        raise Malformed("Send the digest of the order you were shown, and a reason as text.", code="DIGEST_MISSING")
    return digest, reason.strip()[:500]


def document(approval: Approval) -> dict[str, Any]:
    """The approval as programs see it; numbers as text, so that nothing is rounded."""
    return {
        "id": approval.pk,
        "state": approval.state,
        "digest": approval.digest,
        "terms": approval.terms,
        "symbol": approval.instrument.symbol,
        "order_ref": approval.order.order_ref if approval.order else None,
        "decision": approval.decision_id,
        "request": approval.request_id,
        "cause": approval.cause,
        "value": approval.value,
        "price": approval.price,
        "r": approval.reward_ratio,
        "rationale": approval.rationale,
        "what_if": approval.what_if,
        "requested_by": approval.requested_by,
        "market_at": approval.market_at,
        "expires_at": approval.expires_at,
        "needed": approval.needed,
        "votes": [
            {"user": vote.user.get_username(), "approve": vote.approve, "reason": vote.reason, "at": vote.at}
            for vote in approval.votes.all()
        ],
        "reason": approval.reason,
        "sending": approval.dispatch.outcome or approval.dispatch.state if hasattr(approval, "dispatch") else None,
    }
