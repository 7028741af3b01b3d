"""An approved order as an intent again: its terms as approved, beside the market of this moment."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from broker import gates
from trading.models import Approval
from trading.models.decision import Purpose
from trading.models.order import Role
from trading.risk.base import Proposal
from trading.selectors.limits import limits_of
from trading.selectors.positions import position_quantity
from trading.services.intents import Intent
from trading.services.proposals import Cause, Market, Terms, propose


def intent_of_approval(approval: Approval, market: Market) -> Intent:
    """What would be sent now under it: the stored terms, beside a fresh quote and the account's fresh figures."""
    legs = {leg["role"]: leg for leg in approval.terms["legs"]}
    first, ends = approval.terms["legs"][0], approval.terms["expires_at"]
    terms = Terms(
        purpose=Purpose.ENTRY if Role.ENTRY in legs else Purpose.EXIT,
        side=first["side"],
        quantity=Decimal(first["quantity"]),
        limit_price=_price(first["limit_price"]),
        stop_price=_price(legs.get(Role.STOP, {}).get("stop_price")),
        target_price=_price(legs.get(Role.TARGET, {}).get("limit_price")),
        order_type=first["order_type"],
    )
    proposal, _ = propose(cause_of(approval), terms, market)
    return Intent(
        account=approval.account,
        instrument=approval.instrument,
        strategy=proposal.strategy,
        decision=approval.decision,
        request=approval.request,
        purpose=terms.purpose,
        side=terms.side,
        order_type=terms.order_type,
        quantity=proposal.quantity,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
        target_price=terms.target_price,
        tif=first["tif"],
        expires_at=datetime.fromisoformat(ends) if ends else None,
        market_now=market.now,
        configuration=configuration(proposal) | {"approval": {"id": approval.pk, "digest": approval.digest}},
        proposal=proposal,
        approval=approval,
    )


def cause_of(approval: Approval) -> Cause:
    """Whose order it is. The last yes is the moment it was decided: a person has judged this exact order anew."""
    decision = approval.decision
    request = approval.request
    strategy = decision.strategy if decision else request.strategy if request else None
    last = approval.votes.filter(approve=True).order_by("id").last()
    held = position_quantity(approval.account, strategy, approval.instrument)
    return Cause(
        account=approval.account,
        strategy=strategy,
        instrument=approval.instrument,
        limits=limits_of(strategy),
        source="decision" if decision else "request",
        decided_at=(last.market_at if last else None) or approval.market_at,
        position=decision.position_quantity if decision else held,
        claimed_price=decision.claimed_price if decision else None,
        intended=bool(request and request.body.get("intended")),
        must_be_approved=bool(request and request.must_be_approved),
    )


def configuration(proposal: Proposal) -> dict[str, Any]:
    """What is in force as the intent is written, to be stored beside it."""
    limits = proposal.limits
    return {
        "gates": gates.snapshot(proposal.account),
        "risk_profile": {"name": limits.name, "version": limits.version},
        "equity": None if proposal.equity is None else str(proposal.equity),
    }


def _price(text: str | None) -> Decimal | None:
    return Decimal(text) if text else None
