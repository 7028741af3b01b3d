"""Making a decision out of an opinion: side, R and margin are recomputed from the quote, never taken over."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.money import quantize_price
from broker.types import Quote
from research.types import Opinion
from trading.models import Decision, WorkflowExecution
from trading.models.decision import DecisionState, Purpose
from trading.risk.base import Verdict
from trading.services.rows import swap
from trading.services.suspensions import suspend_repeated
from trading.services.verdicts import verdicts_save

RATIO_PLACES = Decimal("0.000001")
LARGEST = Decimal("1e8")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the desk itself knows when it decides."""

    quote: Quote
    position: Decimal
    entry_working: bool
    allow_add: bool
    market_now: datetime
    model_calls: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Reward:
    """R and the profit margin as the market's price gives them; negative where the target is on the wrong side."""

    ratio: Decimal | None
    margin: Decimal | None


def reward(side: str, price: Decimal | None, target: Decimal | None, stop: Decimal | None) -> Reward:
    """For a buy `(target − price) / (price − stop)` and `(target − price) / price`; for a sell both reversed."""
    if price is None or target is None or stop is None:
        return Reward(None, None)
    if not (price.is_finite() and target.is_finite() and stop.is_finite() and price > 0):
        return Reward(None, None)
    sign = 1 if side == "BUY" else -1
    gain, loss = sign * (target - price), sign * (price - stop)
    margin = (gain / price).quantize(RATIO_PLACES)
    return Reward((gain / loss).quantize(RATIO_PLACES) if loss > 0 else None, margin)


def purpose_of(opinion: str, facts: Facts, *, allow_short: bool) -> tuple[Purpose, str]:
    """What the opinion means for what is held: an entry, an exit, or nothing and why."""
    held = facts.position
    if opinion not in ("buy", "sell"):
        return Purpose.NONE, "hold"
    if (opinion == "sell" and held > 0) or (opinion == "buy" and held < 0):
        return Purpose.EXIT, ""
    if facts.entry_working:
        return Purpose.NONE, "entry_working"
    if held and not facts.allow_add:
        return Purpose.NONE, "already_held"
    if opinion == "sell" and not allow_short:
        return Purpose.NONE, "nothing_to_sell"
    return Purpose.ENTRY, ""


def _stored(value: Decimal | None) -> Decimal | None:
    """A price as the table holds it; what it cannot hold counts as none."""
    if value is None or not value.is_finite() or abs(value) >= LARGEST:
        return None
    return quantize_price(value)


def decision_make(execution: WorkflowExecution, opinion: Opinion, facts: Facts, *, save: bool = True) -> Decision:
    """The decision; saved with its event inside the caller's `audit.recording()`, or only computed."""
    assert execution.account_id is not None
    purpose, reason = purpose_of(opinion.type, facts, allow_short=execution.strategy.allow_short)
    side = "BUY" if opinion.type == "buy" else "SELL"
    price = facts.quote.ask if side == "BUY" else facts.quote.bid
    target, stop = _stored(opinion.target_price), _stored(opinion.stop_loss)
    gained = reward(side, price, target, stop) if opinion.type != "hold" else Reward(None, None)
    reasons = [opinion.reason or reason] if opinion.type == "hold" else [reason] if reason else []
    decision = Decision(
        execution=execution,
        account_id=execution.account_id,
        strategy=execution.strategy,
        instrument=execution.instrument,
        type=opinion.type,
        purpose=purpose,
        state=DecisionState.HOLD if purpose == Purpose.NONE else DecisionState.PROPOSED,
        decided_by=opinion.decided_by[:80],
        strategy_used=opinion.strategy_used[:80],
        claimed_price=_stored(opinion.current_price),
        target_price=target,
        stop_price=stop,
        price=_stored(price if opinion.type != "hold" else facts.quote.last or price),
        bid=_stored(facts.quote.bid),
        ask=_stored(facts.quote.ask),
        quote_at=facts.quote.time,
        reward_ratio=_stored(gained.ratio),
        profit_margin=_stored(gained.margin),
        claimed_reward_ratio=_plain(opinion.r_coefficient),
        claimed_profit_margin=_plain(opinion.profit_margin),
        position_quantity=facts.position,
        confidence=opinion.confidence,
        rationale="\n".join(dict.fromkeys(text for text in (opinion.rationale, opinion.detail) if text)),
        evidence=list(opinion.evidence),
        reasons=reasons,
        model_calls=list(facts.model_calls),
        at=system_now(),
        market_at=facts.market_now,
    )
    if save:
        decision.save(force_insert=True)
        _record(decision, EventType.DECISION_MADE, "", opinion.detail or reason)
    return decision


def _plain(value: Decimal | None) -> float | None:
    usable = value is not None and value.is_finite() and math.isfinite(float(value))
    return float(value) if usable and value is not None else None


def decision_judge(
    decision: Decision, verdicts: Sequence[Verdict], *, quantity: Decimal, limit_price: Decimal | None
) -> None:
    """Keep every verdict and move the decision to ALLOWED or REFUSED; call inside `audit.recording()`."""
    verdicts_save(verdicts, decision=decision)
    refused = [verdict for verdict in verdicts if not verdict.allowed]
    _finish(
        decision,
        DecisionState.REFUSED if refused else DecisionState.ALLOWED,
        [code for verdict in refused for code in verdict.codes],
        refused[0].message if refused else "",
        quantity=quantity,
        limit_price=limit_price,
    )


def decision_refuse(decision: Decision, code: str, message: str, verdicts: Mapping[str, Any] | None = None) -> None:
    """Refuse a decision that the rules had allowed: a gate is shut or the room is gone.

    `verdicts`: what every control said at the moment of sending, by rule, where they spoke; the event keeps it.
    """
    _finish(decision, DecisionState.REFUSED, [code], message, verdicts)


def _finish(
    decision: Decision,
    state: DecisionState,
    reasons: list[str],
    cause: str,
    verdicts: Mapping[str, Any] | None = None,
    **changes: object,
) -> None:
    old = decision.state
    swap(decision, state=state, reasons=[*decision.reasons, *reasons], **changes)
    kind = EventType.DECISION_ALLOWED if state == DecisionState.ALLOWED else EventType.DECISION_REFUSED
    _record(decision, kind, old, cause, verdicts)
    if state == DecisionState.REFUSED:
        suspend_repeated(decision, reasons)


def _record(
    decision: Decision, kind: EventType, old: str, cause: str, verdicts: Mapping[str, Any] | None = None
) -> None:
    names = (
        "type", "purpose", "decided_by", "price", "claimed_price", "target_price", "stop_price", "reward_ratio",
        "profit_margin", "quantity", "limit_price", "reasons",
    )  # fmt: skip
    audit.record(
        kind,
        f"decision:{decision.pk}",
        version=decision.version,
        old_state=old,
        new_state=decision.state,
        account=decision.account_id,
        cause=cause,
        market_at=decision.market_at,
        document={name: getattr(decision, name) for name in names}
        | ({"verdicts_at_send": verdicts} if verdicts else {}),
    )
