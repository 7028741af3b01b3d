"""Size the order and put it before every risk rule."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from autotrader.core.money import quantize_price
from trading.models import Decision
from trading.risk.base import Proposal
from trading.risk.rules import judge
from trading.risk.sizing import Size
from trading.services import proposals
from trading.services.decisions import decision_judge
from trading.services.proposals import Market
from trading.workflow.context import StepContext, StepResult

NEEDS: tuple[str, ...] = ("decide",)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Nothing to choose: the limits stand in the strategy's risk profile."""


def run(context: StepContext) -> StepResult:
    """Output: size, limit and the codes of the rules that refuse; a refusal ends the execution."""
    decision = Decision.objects.select_related("instrument", "strategy__risk_profile", "account").get(
        pk=context.outputs["decide"]["decision"]
    )
    market = look(context)
    proposal, size = propose(context, decision, market)
    verdicts = judge(proposal)
    refused = [verdict for verdict in verdicts if not verdict.allowed]

    def write() -> dict[str, Any]:
        _reprice(decision, proposal)
        decision_judge(decision, verdicts, quantity=proposal.quantity, limit_price=proposal.limit_price)
        return {}

    output = {
        "quantity": str(proposal.quantity),
        "limit_price": _text(proposal.limit_price),
        "equity": _text(proposal.equity),
        "capped_by": size.capped_by,
        "refused": [code for verdict in refused for code in verdict.codes],
    }
    if refused:
        return StepResult(output, write=write, stop="refused", reason=f"{refused[0].code}: {refused[0].message}")
    return StepResult(output, write=write)


def look(context: StepContext) -> Market:
    """What the broker says of the contract at this moment."""
    return proposals.look(context.broker, context.outputs["check_session"]["con_id"])


def propose(context: StepContext, decision: Decision, market: Market) -> tuple[Proposal, Size]:
    """The order as it would be sent, and how it was sized."""
    return proposals.decision_proposal(decision, market)


def _reprice(decision: Decision, proposal: Proposal) -> None:
    """Keep what the rules saw: the quote of their moment and the prices on the tick grid."""
    seen = {
        "price": proposal.price,
        "bid": proposal.bid,
        "ask": proposal.ask,
        "quote_at": proposal.quote_at,
        "stop_price": proposal.stop_price,
        "target_price": proposal.target_price,
        "reward_ratio": proposal.reward_ratio,
        "profit_margin": proposal.profit_margin,
    }
    for name, value in seen.items():
        if value is not None:
            setattr(decision, name, quantize_price(value) if isinstance(value, Decimal) else value)
    decision.save(update_fields=list(seen))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
