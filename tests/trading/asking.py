"""Approvals as the workflow makes them, and the persons who answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Permission

from autotrader.core import audit
from autotrader.core.users.models import User
from tests.trading.builders import ACCOUNT, NOW, claimed, decided, intent, strategy
from trading.models import Approval, Strategy
from trading.models.strategy import Mode
from trading.services.approvals import Needed, Word, approval_request, approval_vote

COST = {"available": True, "init_margin_change": "505", "commission": "1.00", "warning": ""}


def asked(
    row: Strategy | None = None, *, needed: Needed | None = None, what_if: Any = None, by: str = "schedule", **more: Any
) -> Approval:
    """An entry of ten AAPL at 101 that waits for a person."""
    row = row or strategy(mode=Mode.APPROVE)
    execution = claimed(row)
    need = needed or Needed("mode", 1)
    cost = COST if what_if is None else what_if
    with audit.acting(actor=f"strategy:{row.name}", correlation_id=execution.correlation_id):
        return approval_request(execution, intent(decided(execution, **more)), need, cost, asked_by=by)


def person(name: str = "ann", *, may: bool = True, staff: bool = False) -> User:
    """Somebody who may approve, or may not."""
    user = User.objects.create_user(name, password="x", is_staff=staff)
    if may:
        user.user_permissions.add(Permission.objects.get(codename="approve_order"))
    return User.objects.get(pk=user.pk)


def say(approval: Approval, user: User, *, yes: bool = True, reason: str = "", **more: Any) -> Approval:
    """One person's word, a second after the question unless told otherwise."""
    at = more.pop("at", NOW + timedelta(seconds=1))
    word = Word(user, yes, more.pop("digest", approval.digest), reason)
    return approval_vote(approval.pk, word, account=more.pop("account", ACCOUNT), market_now=at)
