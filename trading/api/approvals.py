"""Approvals over REST: what waits, and a person's word on it, bound to the digest that was shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django_filters import CharFilter, ChoiceFilter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.rest.limits import limits_of
from autotrader.core.rest.lists import ListEndpoint
from autotrader.core.rest.serializers import Body
from autotrader.core.rest.views import Endpoint
from broker.errors import BrokerUnavailable
from trading.api.filters import filters
from trading.models import Approval, ApprovalVote
from trading.models.approval import ApprovalState
from trading.selectors.approvals import approvals_seen, strategy_of, with_details
from trading.services.approval_states import ApprovalForbidden, ApprovalRefused, ApprovalUnknown
from trading.services.approvals import PERMISSION, Word
from trading.workflow.approving import decide

DIGEST = r"^[0-9a-f]{64}$"


@dataclass(frozen=True, slots=True)
class VoteDocument:
    """One person's word."""

    user: str
    approve: bool
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ApprovalDocument:
    """The exact order that a person is asked about: `terms` is what `digest` is the SHA-256 of, and what is sent.

    `cause` says why somebody is asked: the strategy's mode, the order's value, or the key that may only propose.
    `expires_at` is market time; `needed` persons must say yes. `sending` is what became of the order once they had.
    """

    id: int
    state: ApprovalState
    digest: str
    terms: dict[str, Any]
    account: str
    symbol: str
    strategy: str | None
    order_ref: str | None
    decision: int | None
    request: int | None
    cause: str
    value: Decimal
    price: Decimal
    r: Decimal | None
    rationale: str
    what_if: dict[str, Any]
    requested_by: str
    market_at: datetime
    expires_at: datetime
    needed: int
    votes: list[VoteDocument]
    reason: str
    sending: str | None


class WordBody(Body):
    """What a person says, and of what."""

    digest = serializers.RegexField(DIGEST, help_text="Of the order that this person was shown.")
    reason = serializers.CharField(
        max_length=500, allow_blank=True, default="", help_text="Needed for a no, and where no margins are known."
    )


class ApprovalsEndpoint(ListEndpoint):
    """GET: approvals, the newest first."""

    permissions = {"GET": "trading.view_approval"}
    answers = {"GET": ApprovalDocument}
    filterset_class = filters(
        "ApprovalFilters",
        state=ChoiceFilter(choices=ApprovalState.choices, help_text="PENDING: a person's word is waited for."),
        account=CharFilter(max_length=40, help_text="The account's id."),
        symbol=CharFilter("instrument__symbol", max_length=20, help_text="The instrument's symbol."),
    )

    def queryset(self) -> QuerySet[Approval]:
        return with_details()

    def limited(self, rows: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
        return approvals_seen(limits_of(self.request))

    def document(self, row: Approval) -> dict[str, Any]:
        return asdict(document(row))


class ApprovalEndpoint(Endpoint):
    """GET: one approval with its exact terms and digest."""

    permissions = {"GET": "trading.view_approval"}
    answers = {"GET": ApprovalDocument}
    errors = (ApprovalUnknown,)
    etag = True

    def get(self, request: Request, pk: int) -> Response:
        approval = with_details().filter(pk=pk).first()
        if approval is None:
            raise ApprovalUnknown(f"There is no approval {pk}.")
        strategy = strategy_of(approval)
        limits_of(request).check(account=approval.account_id, strategy=strategy.pk if strategy else None)
        return Response(asdict(document(approval)))


class WordEndpoint(Endpoint):
    """POST: this person's yes or no, once; no key may give it."""

    permissions = {"POST": PERMISSION}
    people_only = frozenset({"POST"})
    body = WordBody
    answers = {"POST": ApprovalDocument}
    errors = (ApprovalUnknown, ApprovalForbidden, ApprovalRefused, BrokerUnavailable)
    approve = False

    def post(self, request: Request, pk: int) -> Response:
        said = self.told(request)
        word = Word(request.user, self.approve, said["digest"], said["reason"].strip())  # type: ignore[arg-type]
        try:
            decide(pk, word)
        except (ApprovalRefused, ApprovalForbidden):
            if not (self.goes_on and self._is_given(pk, word)):
                raise
        return Response(asdict(document(with_details().get(pk=pk))))

    def _is_given(self, pk: int, word: Word) -> bool:
        """Whether this very word is on record: it was heard by a process that died before it could answer."""
        given = ApprovalVote.objects.filter(approval=pk, user=word.user, approve=word.approve, digest=word.digest)
        return given.exists()


class ApproveEndpoint(WordEndpoint):
    """POST: approve an order; the last yes that is needed sends the order. No key may give it."""

    approve = True


class RejectEndpoint(WordEndpoint):
    """POST: reject an order; it ends. No key may give it."""


def _vote(vote: ApprovalVote) -> VoteDocument:
    return VoteDocument(vote.user.get_username(), vote.approve, vote.reason, vote.at)


def document(approval: Approval) -> ApprovalDocument:
    """The approval as programs see it; numbers as text, so that nothing is rounded."""
    strategy = strategy_of(approval)
    return ApprovalDocument(
        id=approval.pk,
        state=ApprovalState(approval.state),
        digest=approval.digest,
        terms=approval.terms,
        account=approval.account_id,
        symbol=approval.instrument.symbol,
        strategy=strategy.name if strategy else None,
        order_ref=approval.order.order_ref if approval.order else None,
        decision=approval.decision_id,
        request=approval.request_id,
        cause=approval.cause,
        value=approval.value,
        price=approval.price,
        r=approval.reward_ratio,
        rationale=approval.rationale,
        what_if=approval.what_if,
        requested_by=approval.requested_by,
        market_at=approval.market_at,
        expires_at=approval.expires_at,
        needed=approval.needed,
        votes=[_vote(vote) for vote in approval.votes.all()],
        reason=approval.reason,
        sending=approval.dispatch.outcome or approval.dispatch.state if hasattr(approval, "dispatch") else None,
    )
