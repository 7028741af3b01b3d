"""What must hold of our own rows at every moment, whatever died: each check answers with what breaks it, and writes
nothing."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Q, Sum

from autotrader.core.audit.models import Event
from autotrader.core.money import quantize_price
from trading.models import (
    Account,
    Approval,
    Decision,
    Discrepancy,
    Fill,
    Order,
    OrderChange,
    StepRun,
    Trade,
    WorkflowExecution,
)
from trading.models.account import AccountKind
from trading.models.cycle import ExecutionState
from trading.models.order import AT_BROKER, OrderState, Role
from trading.selectors.executions import unfinished_of_cancelled
from trading.selectors.positions import SIGNED

ZERO = Decimal(0)
UNRESOLVED_AFTER = timedelta(seconds=60)
STATE_EVENTS = frozenset(
    {"ORDER_DRAFTED", "ORDER_EXTERNAL", "ORDER_REFUSED", "ORDER_PENDING_APPROVAL", "ORDER_APPROVED", "ORDER_SENDING",
     "ORDER_PLACED", "ORDER_ACCEPTED", "ORDER_PARTIALLY_FILLED", "ORDER_FILLED", "ORDER_CANCELLED", "ORDER_REJECTED",
     "ORDER_EXPIRED", "ORDER_UNKNOWN", "ORDER_ABSENT", "ORDER_SIMULATED"}
)  # fmt: skip
CLAIMS = frozenset({"EXECUTION_CLAIMED", "EXECUTION_RESUMED", "DISPATCH_CLAIMED", "DISPATCH_RESUMED"})
ENDS = frozenset({"EXECUTION_WAITING", "EXECUTION_DONE", "EXECUTION_FAILED", "DISPATCH_DONE", "DISPATCH_FAILED"})
AFTER_ALL = 10**9
EVIDENCE_ACTOR = "broker"
UNCERTAIN = (OrderState.SENDING, OrderState.SUBMITTED, OrderState.UNKNOWN)
Graph = Mapping[OrderState, Collection[OrderState]]


@dataclass(frozen=True, slots=True)
class Violation:
    """One break: `rule` is the check's name, `subject` "kind:identity", `detail` the facts."""

    rule: str
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule} {self.subject}: {self.detail}"


@dataclass(frozen=True, slots=True)
class WrittenOrder:
    """An order with its writer: `work` as the log names it, the epoch the order holds, the event that wrote it."""

    order_ref: str
    work: str
    epoch: int
    event: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What the checks are measured by: which state may follow which, the system's time, and how long is too long."""

    graph: Graph
    now: datetime
    unresolved_after: timedelta = UNRESOLVED_AFTER


Check = Callable[[Terms], Iterator[Violation]]


def lives(terms: Terms) -> Iterator[Violation]:
    """Every state an order had has its event, the next follows by the graph, and the row is where the last one says.

    From SENDING on the broker's word alone moves it, or that of the person who resolved a difference about it; in a
    shadow ledger nothing comes from a broker.
    """
    last: dict[str, str] = {}
    by_hand = _moved_by_hand()
    shadow = set(Account.objects.filter(kind=AccountKind.SHADOW).values_list("pk", flat=True))
    rows = Event.objects.filter(type__in=STATE_EVENTS).order_by("seq")
    names = ("seq", "subject", "old_state", "new_state", "actor", "account")
    for seq, subject, old, new, actor, account in rows.values_list(*names).iterator(5000):
        before = last.get(subject, "")
        by_evidence = actor == EVIDENCE_ACTOR or account in shadow
        if old in AT_BROKER and not by_evidence and (subject, actor) not in by_hand:
            yield Violation("lives", subject, f"event {seq}: {actor} moved it from {old} to {new} without evidence")
        if old != before:
            yield Violation("lives", subject, f"event {seq} leaves {old or 'nothing'}, the one before came to {before}")
        elif old and new not in terms.graph[OrderState(old)]:
            yield Violation("lives", subject, f"event {seq} goes from {old} to {new}, which the graph forbids")
        last[subject] = new
    for order_ref, state in Order.objects.values_list("order_ref", "state").iterator(5000):
        told = last.get(f"order:{order_ref}", "")
        if told != state:
            yield Violation("lives", f"order:{order_ref}", f"the row is {state}, its events end at {told or 'nothing'}")


def _moved_by_hand() -> set[tuple[str, str]]:
    """The orders that a person ended or booked in resolving a difference, with that person."""
    resolved = Discrepancy.objects.filter(state="RESOLVED", kind__in=("unknown_order", "position"))
    found = resolved.values_list("pk", "order__order_ref", "resolved_by")
    return {(f"order:{order_ref or f'ADJ{pk}'}", by) for pk, order_ref, by in found}


def quantities(terms: Terms) -> Iterator[Violation]:
    """An order's fills add up to what its row says, and no more than its quantity has filled without an alarm."""
    booked = dict(Fill.objects.filter(superseded=False).order_by().values_list("order").annotate(total=Sum("quantity")))
    alarmed = set(Event.objects.filter(type="OVERFILL").values_list("subject", flat=True))
    names = ("pk", "order_ref", "quantity", "filled_quantity", "role")
    for pk, order_ref, quantity, filled, role in Order.objects.values_list(*names).iterator(5000):
        subject, total = f"order:{order_ref}", quantize_price(booked.get(pk) or ZERO)
        if total != filled:
            yield Violation("quantities", subject, f"its fills add up to {total}, the row says {filled}")
        if filled > quantity and role != Role.EXTERNAL and subject not in alarmed:
            yield Violation("quantities", subject, f"{filled} of {quantity} has filled, and nobody was told")


def sent_knowingly(terms: Terms) -> Iterator[Violation]:
    """What the broker knows as ours has been SENDING before, with its intent's digest."""
    known = Order.objects.filter(perm_id__isnull=False).exclude(role=Role.EXTERNAL)
    for order in known.filter(Q(sending_at=None) | Q(intent_hash="")):
        yield Violation(
            "sent_knowingly", f"order:{order.order_ref}", f"permId {order.perm_id}, but it was never to be sent"
        )


def sent_with_consent(terms: Terms) -> Iterator[Violation]:
    """What was sent to open a position had every control's yes; where a person was asked, also that one's, in time."""
    yield from _without_verdicts()
    yield from _without_a_person()
    for approval in Approval.objects.filter(Q(order__sending_at__isnull=False) | Q(dispatch__outcome="sent")):
        yield from _of_approval(approval)


def _without_verdicts() -> Iterator[Violation]:
    sent = Order.objects.filter(role=Role.ENTRY, sending_at__isnull=False)
    spoken, refused = (
        Count("decision__verdicts", filter=Q(decision__verdicts__allowed=allowed)) for allowed in (True, False)
    )
    asked, denied = (
        Count("request__verdicts", filter=Q(request__verdicts__allowed=allowed)) for allowed in (True, False)
    )
    by_decision = sent.filter(decision__isnull=False).annotate(yes=spoken, no=refused)
    by_request = sent.filter(decision=None, request__isnull=False).annotate(yes=asked, no=denied)
    for rows in (by_decision, by_request):
        for order_ref, yes, no in rows.filter(Q(no__gt=0) | Q(yes=0)).values_list("order_ref", "yes", "no"):
            yield Violation(
                "sent_with_consent", f"order:{order_ref}", f"sent on {yes} allowing and {no} refusing verdicts"
            )
    for order_ref in sent.filter(decision=None, request=None).values_list("order_ref", flat=True):
        yield Violation("sent_with_consent", f"order:{order_ref}", "sent without a decision or a request")


def _without_a_person() -> Iterator[Violation]:
    """A strategy that must ask has asked; its order says by which mode it was approved."""
    named = Event.objects.filter(type="ORDER_APPROVED", cause="mode approve").values_list("subject", flat=True)
    for subject in named.iterator(5000):
        yield Violation("sent_with_consent", subject, "its strategy must ask a person, and asked nobody")


def _of_approval(approval: Approval) -> Iterator[Violation]:
    subject = f"approval:{approval.pk}"
    if approval.state != "USED":
        yield Violation("sent_with_consent", subject, f"its order was sent while it is {approval.state}")
    if approval.order is not None and approval.order.intent_hash != approval.digest:
        yield Violation("sent_with_consent", subject, "another order was sent than the one approved")
    yes = approval.votes.filter(approve=True, digest=approval.digest).count()
    if yes < approval.needed:
        yield Violation("sent_with_consent", subject, f"{yes} of {approval.needed} persons said yes to this digest")
    used = Event.objects.filter(type="APPROVAL_USED", subject=subject).order_by("seq").first()
    if used is not None and used.market_at is not None and used.market_at > approval.expires_at:
        yield Violation("sent_with_consent", subject, f"used at {used.market_at}, it ended at {approval.expires_at}")


def trades_from_fills(terms: Terms) -> Iterator[Violation]:
    """What the open trades of a ledger hold is what its fills add up to."""
    ledger = ("order__account", "order__strategy", "order__instrument")
    fills = Fill.objects.filter(superseded=False).order_by().values_list(*ledger).annotate(total=Sum(SIGNED))
    held = {(account, strategy, instrument): quantize_price(total) for account, strategy, instrument, total in fills}
    traded: defaultdict[tuple[str, int | None, int], Decimal] = defaultdict(Decimal)
    names = ("account", "strategy", "instrument", "side", "open_quantity")
    for account, strategy, instrument, side, quantity in Trade.objects.filter(state="OPEN").values_list(*names):
        traded[account, strategy, instrument] += quantity if side == "long" else -quantity
    for key in {*held, *traded}:
        if held.get(key, ZERO) != traded.get(key, ZERO):
            account, strategy, instrument = key
            subject = f"ledger:{account}/{strategy}/{instrument}"
            yield Violation(
                "trades_from_fills", subject, f"fills hold {held.get(key, ZERO)}, trades {traded.get(key, ZERO)}"
            )


def epochs(terms: Terms) -> Iterator[Violation]:
    """No row was written by a worker after another had taken its work: by the order of commits."""
    claims: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    rows = Event.objects.filter(type__in=CLAIMS).order_by("seq").values_list("subject", "seq", "cause")
    for subject, seq, cause in rows.iterator(5000):
        claims[subject].append((seq, int(cause.rpartition(" ")[2])))
    ended = Event.objects.filter(type="EXECUTION_CANCELLED").values_list("subject", "seq", "document")
    for subject, seq, document in ended.iterator(5000):
        claims[subject].append((seq, json.loads(document)["epoch"]))
    for subject, seq in _ended_with_cycle():
        claims[subject].append((seq, AFTER_ALL))
    yield from _late_ends(claims)
    yield from _late_steps(claims)
    yield from _late_orders(claims)


def _ended_with_cycle() -> Iterator[tuple[str, int]]:
    """The executions that failed with their cycle, by no worker's hand: whoever had claimed one writes no more."""
    rows = Event.objects.filter(type="EXECUTION_FAILED").values_list("subject", "seq", "document")
    for subject, seq, document in rows.iterator(5000):
        if "epoch" not in json.loads(document):
            yield subject, seq


def _late_ends(claims: Mapping[str, list[tuple[int, int]]]) -> Iterator[Violation]:
    rows = Event.objects.filter(type__in=ENDS).order_by("seq").values_list("subject", "seq", "type", "document")
    for subject, seq, kind, document in rows.iterator(5000):
        epoch = json.loads(document).get("epoch", AFTER_ALL)
        taken = _taken_over(claims.get(subject, []), epoch, seq)
        if taken:
            yield Violation("epochs", subject, f"{kind} in epoch {epoch} after epoch {taken} had begun")


def _late_steps(claims: Mapping[str, list[tuple[int, int]]]) -> Iterator[Violation]:
    written = dict(Event.objects.filter(type__in=("STEP_DONE", "STEP_FAILED")).values_list("subject", "seq"))
    for execution, index, epoch in StepRun.objects.values_list("execution", "index", "epoch").iterator(5000):
        subject = f"step:{execution}.{index}"
        taken = _taken_over(claims.get(f"execution:{execution}", []), epoch, written.get(subject, 0))
        if taken:
            yield Violation("epochs", subject, f"written in epoch {epoch} after epoch {taken} had begun")


def _late_orders(claims: Mapping[str, list[tuple[int, int]]]) -> Iterator[Violation]:
    events = Event.objects.filter(type__in=("ORDER_DRAFTED", "ORDER_SENDING")).values_list("type", "subject", "seq")
    written = {(kind, subject): seq for kind, subject, seq in events.iterator(5000)}
    for order in written_orders():
        subject = f"order:{order.order_ref}"
        taken = _taken_over(claims.get(order.work, []), order.epoch, written.get((order.event, subject), 0))
        if taken:
            yield Violation("epochs", subject, f"written in epoch {order.epoch} after epoch {taken} had begun")


def written_orders() -> Iterator[WrittenOrder]:
    """Each order with the work whose epoch it holds: what has sent it, else what has drafted it."""
    approved = dict(
        Approval.objects.filter(order__isnull=False, dispatch__isnull=False).values_list("order__group", "dispatch")
    )
    rows = Order.objects.filter(Q(decision__isnull=False) | Q(request__dispatch__isnull=False))
    names = ("order_ref", "epoch", "group", "sending_at", "decision__execution", "request__dispatch")
    for order_ref, epoch, group, sending_at, execution, requested in rows.values_list(*names).iterator(5000):
        dispatch = approved.get(group, requested)
        if dispatch is not None and sending_at is not None:
            yield WrittenOrder(order_ref, f"dispatch:{dispatch}", epoch, "ORDER_SENDING")
        elif execution is not None:
            yield WrittenOrder(order_ref, f"execution:{execution}", epoch, "ORDER_DRAFTED")


def _taken_over(claims: list[tuple[int, int]], epoch: int, seq: int) -> int:
    """The later epoch that had begun when event `seq` was written; 0 for none."""
    return max((number for at, number in claims if at < seq and number > epoch), default=0)


def cancelled(terms: Terms) -> Iterator[Violation]:
    """After its cancel an execution stays cancelled, and whoever worked on it has written and sent nothing more; a
    cancelled cycle has no work left."""
    rows = Event.objects.filter(type="EXECUTION_CANCELLED").values_list("correlation_id", "subject", "seq")
    ended = {correlation_id: (subject, seq) for correlation_id, subject, seq in rows.iterator(5000)}
    work = Event.objects.filter(Q(actor__startswith="strategy:") | Q(actor__startswith="worker:"))
    for number, kind, correlation_id in work.values_list("seq", "type", "correlation_id").iterator(5000):
        subject, seq = ended.get(correlation_id, ("", number))
        if number > seq:
            yield Violation("cancelled", subject, f"{kind} in event {number}, after its cancel in event {seq}")
    stopped = {subject for subject, _ in ended.values()}
    for pk, state in WorkflowExecution.objects.values_list("pk", "state").iterator(5000):
        if (state == ExecutionState.CANCELLED) != (f"execution:{pk}" in stopped):
            yield Violation("cancelled", f"execution:{pk}", f"it is {state}, its events tell otherwise")
    for pk in unfinished_of_cancelled():
        yield Violation("cancelled", f"cycle:{pk}", "it is cancelled, and work of it is left")


def unresolved(terms: Terms) -> Iterator[Violation]:
    """Nothing stays uncertain for a minute without an open discrepancy that a person sees."""
    since = terms.now - terms.unresolved_after
    seen = set(Discrepancy.objects.filter(state="OPEN", order__isnull=False).values_list("order", flat=True))
    waiting = Order.objects.filter(state__in=UNCERTAIN, sending_at__lt=since).exclude(account__kind=AccountKind.SHADOW)
    for order in waiting.exclude(pk__in=seen):
        yield Violation("unresolved", f"order:{order.order_ref}", f"{order.state} since {order.sending_at}")
    changes = OrderChange.objects.filter(state__in=("SENDING", "UNKNOWN"), created_at__lt=since)
    for change in changes.exclude(order__in=seen).select_related("order"):
        subject = f"change:{change.order.order_ref}.{change.revision}"
        yield Violation("unresolved", subject, f"{change.state} since {change.created_at}")


def one_order_a_cause(terms: Terms) -> Iterator[Violation]:
    """One decision and one request have led to one order at most, or to the change of one."""
    groups = Count("orders__group", distinct=True)
    for pk in Decision.objects.annotate(groups=groups).filter(groups__gt=1).values_list("pk", flat=True):
        yield Violation("one_order_a_cause", f"decision:{pk}", "more than one order came of it")
    both = Decision.objects.filter(orders__isnull=False, orderchange__isnull=False).distinct()
    for pk in both.values_list("pk", flat=True):
        yield Violation("one_order_a_cause", f"decision:{pk}", "an order and a change came of it")


CHECKS: dict[str, Check] = {
    "lives": lives,
    "quantities": quantities,
    "sent_knowingly": sent_knowingly,
    "sent_with_consent": sent_with_consent,
    "trades_from_fills": trades_from_fills,
    "epochs": epochs,
    "cancelled": cancelled,
    "unresolved": unresolved,
    "one_order_a_cause": one_order_a_cause,
}


def violations(terms: Terms) -> list[Violation]:
    """Every break of every check."""
    return [found for check in CHECKS.values() for found in check(terms)]
