"""Which orders wait for a person, which have their word and wait for a worker, and who asked for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Prefetch, Q, QuerySet
from django.db.models.functions import Now

from autotrader.core.audit.models import Event
from autotrader.core.users.limits import Limits
from trading.models import Analysis, Approval, ApprovalVote, Dispatch, Order, OrderChange, RiskVerdict, Strategy
from trading.models.approval import ApprovalState
from trading.models.order import UNSENT
from trading.selectors.orders import TOLD

OPEN = (ApprovalState.PENDING, ApprovalState.APPROVED)


def claimable_dispatches(lane: str, pk: int | None = None) -> QuerySet[Dispatch]:
    """Dispatches nobody works on: queued, or with a lease that ran out by the database's clock."""
    free = Q(state="QUEUED") | Q(state="RUNNING", lease_until__lt=Now())
    rows = Dispatch.objects.filter(free, lane=lane)
    if pk is not None:
        rows = rows.filter(pk=pk)
    return rows.order_by("id")


def overdue(account_id: str, market_now: datetime) -> QuerySet[Approval]:
    """Open approvals of the account whose time is over at this market time."""
    return Approval.objects.filter(state__in=OPEN, account_id=account_id, expires_at__lte=market_now).order_by("id")


def any_open() -> bool:
    """True where an approval waits for a person or for a worker."""
    return Approval.objects.filter(state__in=OPEN).exists()


def waiting_count() -> int:
    """How many orders wait for a person's word."""
    return Approval.objects.filter(state=ApprovalState.PENDING).count()


def approvals_recent(limit: int = 100) -> list[Approval]:
    """The newest approvals with what a list shows, those that wait first."""
    rows = with_details().order_by("-id")
    waiting = list(rows.filter(state=ApprovalState.PENDING)[:limit])
    return waiting + list(rows.exclude(state=ApprovalState.PENDING)[: max(limit - len(waiting), 0)])


def with_details() -> QuerySet[Approval]:
    """Approvals with what a page about one needs."""
    votes = Prefetch("votes", ApprovalVote.objects.select_related("user").order_by("id"))
    return Approval.objects.select_related(
        "account",
        "instrument",
        "order",
        "decision__strategy__risk_profile",
        "decision__execution__cycle",
        "request__strategy__risk_profile",
        "dispatch",
    ).prefetch_related(votes)


def strategy_of(approval: Approval) -> Strategy | None:
    """Whose order it is; None of one without a strategy."""
    if approval.decision is not None:
        return approval.decision.strategy
    return approval.request.strategy if approval.request is not None else None


def approvals_seen(limits: Limits) -> QuerySet[Approval]:
    """What a key with these limits may see."""
    rows = with_details()
    if limits.accounts:
        rows = rows.filter(account_id__in=limits.accounts)
    if limits.strategies:
        by_decision = Q(decision__strategy_id__in=limits.strategies)
        rows = rows.filter(by_decision | Q(decision=None, request__strategy_id__in=limits.strategies))
    return rows


def approval_of(*, decision_id: int | None = None, request_id: int | None = None) -> Approval | None:
    """The approval a decision or a request waits for, whatever became of it."""
    rows = Approval.objects.filter(decision_id=decision_id) if decision_id else Approval.objects.none()
    if request_id:
        rows = Approval.objects.filter(request_id=request_id)
    return rows.first()


def rows_of(approval: Approval) -> list[Order]:
    """The rows that were written when it was asked for, the parent first; none of an exit."""
    if approval.order is None:
        return []
    return list(Order.objects.filter(group=approval.order.group).select_related("instrument", "parent").order_by("id"))


def sent_of(approval: Approval | None, decision_id: int | None, request_id: int | None) -> list[Order]:
    """What has left, or was about to, for this cause: the rows committed as SENDING or beyond, or the moved targets.

    Also rows that an older copy put back as never sent, and that the broker has told of.
    """
    cause = Q(pk__in=[])
    if decision_id:
        cause |= Q(decision_id=decision_id)
    if request_id:
        cause |= Q(request_id=request_id)
    if approval is not None and approval.order is not None:
        cause |= Q(group=approval.order.group)
    rows = list(Order.objects.filter(cause).filter(~Q(state__in=UNSENT) | TOLD).order_by("id"))
    if rows:
        return rows
    changed = Q(decision_id=decision_id) if decision_id else Q(request_id=request_id)
    changes = OrderChange.objects.filter(changed, kind="modify").select_related("order")
    return [change.order for change in changes] if decision_id or request_id else []


@dataclass(frozen=True, slots=True)
class ApprovalStory:
    """Everything a person decides on: what would be sent, why, what it costs, and what was said so far."""

    approval: Approval
    legs: list[dict[str, Any]]
    expires_at: str | None
    rows: list[Order]
    analyses: list[Analysis]
    verdicts: list[RiskVerdict]
    votes: list[ApprovalVote]
    dispatch: Dispatch | None
    events: list[Event]

    @property
    def is_open(self) -> bool:
        """True while a person's word is waited for."""
        return bool(self.approval.state == ApprovalState.PENDING)

    @property
    def may_be_withdrawn(self) -> bool:
        """True while nothing is sent on it, also where it is approved."""
        return self.approval.state in OPEN

    @property
    def yes(self) -> int:
        """How many have said yes."""
        return sum(vote.approve for vote in self.votes)

    @property
    def side(self) -> str:
        """Of the order itself, not of its protection."""
        return str(self.legs[0]["side"])


def approval_story(pk: int) -> ApprovalStory | None:
    """All that a page about one approval shows; None where there is no such approval."""
    approval = with_details().filter(pk=pk).first()
    if approval is None:
        return None
    rows = rows_of(approval)
    subjects = [f"approval:{approval.pk}", *(f"order:{row.order_ref}" for row in rows)]
    dispatch = Dispatch.objects.filter(approval=approval).first()
    if dispatch is not None:
        subjects.append(f"dispatch:{dispatch.pk}")
    return ApprovalStory(
        approval=approval,
        legs=approval.terms["legs"],
        expires_at=approval.terms["expires_at"],
        rows=rows,
        analyses=_analyses(approval),
        verdicts=_verdicts(approval),
        votes=list(approval.votes.all()),
        dispatch=dispatch,
        events=list(Event.objects.filter(subject__in=subjects).order_by("seq")[:200]),
    )


def _analyses(approval: Approval) -> list[Analysis]:
    if approval.decision is None:
        return []
    return list(Analysis.objects.filter(execution=approval.decision.execution_id).order_by("timeframe"))


def _verdicts(approval: Approval) -> list[RiskVerdict]:
    cause = Q(decision=approval.decision_id) if approval.decision_id else Q(request=approval.request_id)
    return list(RiskVerdict.objects.filter(cause).order_by("allowed", "id"))
