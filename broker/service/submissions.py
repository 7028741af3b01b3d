"""The race for a key: whoever inserts (order_ref, revision) first decides whether the frame may leave."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction

from autotrader.core.ops.crashpoints import crashpoint
from broker import types
from broker.codec import to_json
from broker.errors import OrderInvalid
from broker.models import Submission

State = Submission.State
SELDOM = ("quantity", "trail_amount", "trail_percent")


@dataclass(frozen=True, slots=True)
class Claim:
    """`won`: the rows are ours and the frame may leave; else they are the winner's."""

    won: bool
    rows: tuple[Submission, ...]

    @property
    def void(self) -> bool:
        """True where any leg is VOID: nothing of it leaves."""
        return any(row.state == State.VOID for row in self.rows)


def place_rows(request: types.PlaceOrder, now: datetime) -> list[Submission]:
    """The rows of a place: revision 0 of every leg, SENT."""
    return [
        Submission(
            order_ref=leg.order_ref,
            revision=0,
            account=request.account,
            role=leg.role,
            state=State.SENT,
            terms=_terms(leg, con_id=request.con_id, reduces=request.reduces),
            intent_hash=request.intent_hash,
            created_at=now,
        )
        for leg in request.legs
    ]


def modify_row(request: types.ModifyOrder, role: str, now: datetime) -> Submission:
    """The row of a change. What only some changes have is named only there, so that old rows compare as ever."""
    terms = {"limit_price": request.limit_price, "stop_price": request.stop_price, "reduces": request.reduces}
    terms |= {name: value for name in SELDOM if (value := getattr(request, name)) is not None}
    return Submission(
        order_ref=request.order_ref,
        revision=request.revision,
        account=request.account,
        role=role,
        state=State.SENT,
        terms=json.dumps(_plain(terms), sort_keys=True),
        created_at=now,
    )


def void_row(intent: types.UnresolvedIntent, detail: str, now: datetime) -> Submission:
    """The row by which an intent that was never sent can never be sent."""
    return Submission(
        order_ref=intent.order_ref,
        revision=intent.revision,
        account=intent.account,
        state=State.VOID,
        detail=detail,
        created_at=now,
    )


def recorded(rows: Sequence[Submission]) -> Claim | None:
    """What is on record for these keys; None where nothing is. Raises OrderInvalid DIFFERENT_TERMS."""
    revision = rows[0].revision
    found = {
        row.order_ref: row
        for row in Submission.objects.filter(revision=revision, order_ref__in=[row.order_ref for row in rows])
    }
    if not found:
        return None
    _refuse_different(rows, found)
    if len(found) < len(rows):
        _void_the_rest([row for row in rows if row.order_ref not in found])
        return recorded(rows)
    return Claim(won=False, rows=tuple(found[row.order_ref] for row in rows))


def are_recorded(order_refs: Sequence[str], revision: int) -> bool:
    """Whether any of these keys is taken."""
    return Submission.objects.filter(revision=revision, order_ref__in=order_refs).exists()


def claim(rows: Sequence[Submission], *, point: str = "submission") -> Claim:
    """Insert the rows in one durable transaction; where a key is taken, the winner's rows instead.

    `point` names the commit, see `audit.recording`.
    """
    try:
        with transaction.atomic(durable=True):
            Submission.objects.bulk_create(rows)
            crashpoint(f"{point}_committing")
    except IntegrityError:
        taken = recorded(rows)
        if taken is None:
            raise
        return taken
    crashpoint(f"{point}_committed")
    return Claim(won=True, rows=tuple(rows))


def mark_void(rows: Sequence[Submission], detail: str) -> None:
    """Record that these frames are proven not to have left."""
    with transaction.atomic(durable=True):
        for row in rows:
            Submission.objects.filter(pk=row.pk, state=State.SENT, version=row.version).update(
                state=State.VOID, detail=detail, version=row.version + 1
            )
        crashpoint("void_committing")
    crashpoint("void_committed")


def of_orders(order_refs: Sequence[str]) -> dict[str, Submission]:
    """The revision 0 of each order, by order_ref."""
    return {row.order_ref: row for row in Submission.objects.filter(order_ref__in=order_refs, revision=0)}


def newest_prices(order_refs: Sequence[str]) -> dict[str, tuple[Decimal | None, Decimal | None]]:
    """Limit and stop price of the newest revision of each order that may have left, by order_ref."""
    found: dict[str, tuple[Decimal | None, Decimal | None]] = {}
    for row in Submission.objects.filter(order_ref__in=order_refs, state=State.SENT).order_by("revision"):
        prices = prices_of(row)
        found[row.order_ref] = prices["limit_price"], prices["stop_price"]
    return found


def of_change(intent: types.UnresolvedIntent) -> Submission | None:
    """The row of a price change."""
    return Submission.objects.filter(order_ref=intent.order_ref, revision=intent.revision).first()


def terms_of(row: Submission) -> dict[str, Any]:
    """What the frame says."""
    terms: dict[str, Any] = json.loads(row.terms)
    return terms


def prices_of(row: Submission) -> dict[str, Decimal | None]:
    """The prices of a price change."""
    terms = terms_of(row)
    return {
        name: Decimal(terms[name]) if terms.get(name) is not None else None for name in ("limit_price", "stop_price")
    }


def _refuse_different(rows: Sequence[Submission], found: dict[str, Submission]) -> None:
    for row in rows:
        other = found.get(row.order_ref)
        if other is None or "{}" in (row.terms, other.terms):  # a resolver's row has no terms
            continue
        if (other.account, other.terms, other.intent_hash) != (row.account, row.terms, row.intent_hash):
            raise OrderInvalid(
                f"{row.order_ref} revision {row.revision} is on record with other terms.",
                code="DIFFERENT_TERMS",
                details={"order_ref": row.order_ref, "revision": row.revision},
            )


def _void_the_rest(rows: Sequence[Submission]) -> None:
    """Legs leave together: those of a half-taken submission never will."""
    for row in rows:
        row.state = State.VOID
        row.detail = "another leg of this submission is on record without it"
    Submission.objects.bulk_create(rows, ignore_conflicts=True)


def _terms(leg: types.OrderLeg, **more: Any) -> str:
    fields = {name: getattr(leg, name) for name in types.OrderLeg.__slots__}
    return json.dumps(_plain({**fields, **more}), sort_keys=True)


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _number(value) if isinstance(value, Decimal) else to_json(value) for name, value in fields.items()}


def _number(value: Decimal) -> str:
    """One text for one number, so that 10 and 10.00 are the same terms."""
    return f"{value.normalize():f}"
