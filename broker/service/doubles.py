"""Ends what is too much where the broker made two working orders of one of ours: one cancel, a new look, and again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from autotrader.core.ops.pace import paced
from broker import types
from broker.errors import BrokerError
from broker.ib.client import IbClient
from broker.ib.errors import NotSent
from broker.models import Submission
from broker.service import cancelling, evidence, submissions
from broker.service.writer import Writer

if TYPE_CHECKING:
    from broker.service.reconcile import Look

logger = logging.getLogger(__name__)
MOST_TRIES = 5
PATIENCE = timedelta(seconds=paced(10))  # after this a cancel without any effect was lost or refused
RECORD_LIMIT = 10.0
ENDED = frozenset({"Filled", "Cancelled", "ApiCancelled", "Inactive"})
Prices = tuple[Decimal | None, Decimal | None]  # limit and stop
Verdict = Literal["settled", "wait", "give up", "cancel"]


@dataclass(frozen=True, slots=True)
class Tried:
    """What was seen and done of one reference: `perm_ids` of its orders so far, `working` at the last cancel."""

    perm_ids: frozenset[int] = frozenset()
    tries: int = 0
    asked: datetime | None = None
    working: frozenset[int] = frozenset()
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class Surplus:
    """One finding: `perm_id` is the order to be ended, as far as the broker lets us choose; 0 to give up."""

    account: str
    order_ref: str
    perm_id: int
    tried: Tried
    connection: datetime


def by_reference(listed: Iterable[types.OrderReport]) -> dict[str, dict[int, types.OrderReport]]:
    """Our own working orders by reference and permId; a list may tell one twice."""
    found: dict[str, dict[int, types.OrderReport]] = {}
    for report in listed:
        if report.origin == "ours" and report.order_ref and report.perm_id and report.status not in ENDED:
            found.setdefault(report.order_ref, {})[report.perm_id] = report
    return found


def decide(working: Sequence[types.OrderReport], tried: Tried, *, keep: int, now: datetime) -> Verdict:
    """What to do about the orders that work under one reference; `keep` of them may stay, 0 or 1.

    The next cancel waits until the one before has shown its effect: two at once could end the last protection.
    """
    if len(working) <= keep:
        return "settled"
    waited = now - tried.asked if tried.asked is not None else None
    none_ended = tried.working <= {report.perm_id for report in working}
    if waited is not None and none_ended and waited < PATIENCE:
        return "wait"
    if keep and any(report.status == "PendingCancel" for report in working):
        return "give up" if waited is not None and waited >= PATIENCE else "wait"
    return "give up" if tried.tries >= MOST_TRIES else "cancel"


def least_wanted(working: Sequence[types.OrderReport], newest: Prices | None) -> types.OrderReport:
    """The order to be ended first: one without the prices asked for last, of those the oldest."""
    return min(working, key=lambda report: ((report.limit_price, report.stop_price) == newest, report.perm_id))


def seen_again(before: Tried, working: Sequence[types.OrderReport]) -> Tried:
    """What is known with the orders that work now; one that was never seen begins the count of cancels anew."""
    perm_ids = {report.perm_id for report in working}
    if perm_ids - before.perm_ids:
        before = replace(before, tries=0, given_up=False)
    return replace(before, perm_ids=before.perm_ids | perm_ids)


def tried_again(known: Tried, working: Sequence[types.OrderReport], verdict: Verdict, now: datetime) -> Tried:
    """What is known once the verdict is carried out."""
    perm_ids = frozenset(report.perm_id for report in working)
    tries = known.tries + (verdict == "cancel")
    return replace(known, tries=tries, asked=now, working=perm_ids, given_up=verdict == "give up")


def closes(report: types.OrderReport, row: Submission | None, held: Mapping[int, Decimal]) -> bool:
    """Whether an order protects or closes a holding; then one of its kind must stay."""
    return (row is not None and row.role == "exit") or cancelling.only_reduces(report, row, held)


@dataclass
class Doubles:
    """`judge` runs in the writer's thread with each look, `end` in the reconciler's after it, never both at once.

    `gate` raises TradingDisabled where no cancel may leave for an account.
    """

    client: IbClient
    writer: Writer
    gate: Callable[[str], None]
    _tried: dict[str, Tried] = field(default_factory=dict, init=False)
    _remembers: bool = field(default=False, init=False)
    _found: list[Surplus] = field(default_factory=list, init=False)
    unsettled: bool = field(default=False, init=False)

    def judge(self, look: Look) -> None:
        """Find what has to be ended by this look."""
        account = look.state.account
        if not self._remembers:
            self._tried, self._remembers = _remembered(account), True
        tried = self._tried
        ours = by_reference(report for report in look.book.open_orders if report.account == account)
        suspects = {ref: list(ours.get(ref, {}).values()) for ref in ours if len(ours[ref]) > 1 or ref in tried}
        self._tried = {ref: tried[ref] for ref in tried if ref in suspects}
        self._found = []
        if suspects:
            self._judge_each(suspects, look)
        self.unsettled = any(not known.given_up for known in self._tried.values())

    def _judge_each(self, suspects: Mapping[str, list[types.OrderReport]], look: Look) -> None:
        rows, newest = submissions.of_orders(list(suspects)), submissions.newest_prices(list(suspects))
        held = {row.con_id: row.quantity for row in look.positions if row.account == look.state.account}
        done = {report.perm_id for report in look.book.completed_orders if report.status == "Filled"}
        for ref, working in suspects.items():
            known = seen_again(self._tried.get(ref, Tried()), working)
            # Where one has filled, its work is done: another one would open a position.
            protects = closes(working[0], rows.get(ref), held) and not known.perm_ids & done
            verdict = decide(working, known, keep=int(protects), now=look.started)
            self._tried[ref] = known
            if verdict == "settled":
                del self._tried[ref]
            elif verdict != "wait" and not known.given_up and ref not in look.in_flight:
                perm_id = least_wanted(working, newest.get(ref)).perm_id if verdict == "cancel" else 0
                tried = tried_again(known, working, verdict, look.started)
                self._found.append(Surplus(look.state.account, ref, perm_id, tried, look.state.since))

    def end(self) -> None:
        """Record and send one cancel for each finding; what a gate or the record stops is found again."""
        found, self._found = self._found, []
        for surplus in found:
            try:
                self._end(surplus)
            except BrokerError as error:
                logger.warning("%s is there more than once, and stays: %s", surplus.order_ref, error)
            except Exception:
                # Looks must go on, whatever it is; the next one finds this again.
                logger.exception("%s is there more than once, and stays", surplus.order_ref)

    def _end(self, surplus: Surplus) -> None:
        if surplus.perm_id:
            self.gate(surplus.account)
        self.writer.put(_event(surplus, self.client.known_now()))
        self.writer.drain(RECORD_LIMIT)
        self._tried[surplus.order_ref] = surplus.tried
        if surplus.perm_id:
            self.client.cancel_one(surplus.order_ref, surplus.perm_id, lambda: self._same(surplus.connection))

    def _same(self, connection: datetime) -> None:
        if self.client.state().since != connection:
            raise NotSent("the connection that showed the orders is gone; a new look decides")


def _remembered(account: str) -> dict[str, Tried]:
    """What an owner before this one has done."""
    found: dict[str, Tried] = {}
    for event, at in evidence.doubles(account):
        perm_ids = found.get(event.order_ref, Tried()).perm_ids | set(event.perm_ids)
        working = frozenset(event.perm_ids)
        found[event.order_ref] = Tried(perm_ids, event.attempt, at, working, event.given_up)
    return found


def _event(surplus: Surplus, now: datetime) -> types.OrderDoubled:
    tried = surplus.tried
    count = len(tried.working)
    detail = f"{count} orders work under this reference; " if count > 1 else "its double has ended or filled; "
    if tried.given_up:
        detail += f"{tried.tries} cancels have not ended what is too much: a person must"
    else:
        detail += f"cancel {tried.tries} of at most {MOST_TRIES}"
    perm_ids = tuple(sorted(tried.working))
    return types.OrderDoubled(
        surplus.account, surplus.order_ref, perm_ids, tried.tries, now, detail, given_up=tried.given_up
    )
