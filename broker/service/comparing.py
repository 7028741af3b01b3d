"""What a look at the broker's book is, and what it says of an order that it does not know."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from autotrader.core.ops.pace import paced
from broker import types
from broker.ib.client import Book, ConnectionState
from broker.models import Submission
from broker.service import submissions

ENDED = frozenset({"Filled", "Cancelled", "ApiCancelled", "Inactive"})
# Where the broker's day may turn: at the exchange, or where a TWS runs on a server's clock.
DAY_ZONES = (ZoneInfo("America/New_York"), UTC)
Verdict = Literal["leave", "void", "void_again", "missing", "proven"]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. `interval` between looks, `hurry` while an order is missing or a look failed.

    `void_after`: the age at which an intent without a Submission is voided; `grace`: how long after its Submission
    an order may be missing from a book; `proof_after` to `proof_until`: the age at which its absence can be proof, if
    the broker's day has not turned: a book tells finished orders and fills of the current day only. `watch`: between
    two looks at what waits too long, with a broker or without.
    """

    interval: float = field(default_factory=lambda: paced(30))
    hurry: float = field(default_factory=lambda: paced(5))
    retry: float = field(default_factory=lambda: paced(1))
    book_timeout: float = 20
    void_after: float = field(default_factory=lambda: paced(10))
    grace: float = field(default_factory=lambda: paced(2))
    proof_after: float = field(default_factory=lambda: paced(10))
    proof_until: float = 3600
    watch: float = field(default_factory=lambda: paced(5))


@dataclass(frozen=True, slots=True)
class Look:
    """One complete answer: `started` when it was asked for, `connection` when that connection began."""

    book: Book
    started: datetime
    state: ConnectionState
    market_now: datetime
    in_flight: frozenset[str]
    positions: tuple[types.Position, ...]
    account: types.AccountSummary | None = None

    @property
    def reports(self) -> tuple[types.OrderReport | types.ExecutionReport, ...]:
        """Orders first, then what filled them."""
        return (*self.book.open_orders, *self.book.completed_orders, *self.book.executions)


@dataclass(frozen=True, slots=True)
class Record:
    """What we know of an order: its Submission, and whether the broker ever told of it."""

    submission: Submission | None
    seen: bool = False


def judge(intent: types.UnresolvedIntent, record: Record, look: Look, earlier_misses: int, timing: Timing) -> Verdict:
    """What a book that does not know the intent's order says of it."""
    submission = record.submission
    age = (look.started - (submission.created_at if submission else intent.since)).total_seconds()
    if intent.order_ref in look.in_flight:
        return "leave"
    if submission is None:
        return "void" if age >= timing.void_after else "leave"
    if submission.state == Submission.State.VOID:
        return "void_again"
    if age < timing.grace:
        return "leave"
    # The sender is gone with the connection before; what the broker once told of was there, and may have filled.
    provable = look.state.since > submission.created_at and not record.seen
    provable = provable and timing.proof_after <= age <= timing.proof_until and _on_one_day(submission, look)
    return "proven" if provable and earlier_misses > 0 else "missing"


def _on_one_day(submission: Submission, look: Look) -> bool:
    """False where the broker's day may have turned since the Submission, whichever zone its days are counted in."""
    sent, now = submission.created_at, look.market_now
    if look.state.clock != "system":  # days pass by the gateway's own clock
        sent = now - (look.started - submission.created_at)
    return all(sent.astimezone(zone).date() == now.astimezone(zone).date() for zone in DAY_ZONES)


def compared(look: Look, unprotectable: str) -> types.Compared:
    """The look as the desk gets it. Cash is that of the base currency alone, where the broker tells it apart."""
    values = look.account
    currency = values.currency if values else ""
    split = {row.currency: row.cash for row in values.cash_by_currency} if values else {}
    cash: Decimal | None = split.get(currency, values.cash if values else None)
    return types.Compared(
        account=look.state.account,
        connection=look.state.since,
        started=look.started,
        market_now=look.market_now,
        working={r.perm_id: r.oca_group for r in look.book.open_orders if r.perm_id and r.status not in ENDED},
        orders=len(look.book.open_orders) + len(look.book.completed_orders),
        executions=len(look.book.executions),
        positions=look.positions,
        cash=cash,
        currency=currency,
        unprotectable=unprotectable,
    )


def reconcile_report(look: Look) -> types.ReconcileReport:
    """What the look compared, for a person who asked for it."""
    found = compared(look, "")
    return types.ReconcileReport(
        found.account,
        found.started,
        found.market_now,
        found.orders,
        found.executions,
        len(found.positions),
        found.cash,
        found.currency,
    )


def submission_report(row: Submission, now: datetime) -> types.SubmissionReport:
    """What our own record says of a frame."""
    terms = submissions.prices_of(row) if row.revision else {}
    return types.SubmissionReport(
        row.account,
        row.order_ref,
        row.revision,
        "VOID" if row.state == Submission.State.VOID else "SENT",
        now,
        row.detail,
        terms.get("limit_price"),
        terms.get("stop_price"),
    )
