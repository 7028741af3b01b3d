"""Judging a stored decision again by the code of today: without the model, without the broker, and nothing is placed.

What was stored of its moment is judged: the model's answers (or the bars, where the rules decided), the quote, what was
held, and the numbers that the controls wrote down. What was not stored is named, and not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.errors import AlreadyDone
from autotrader.core.money import to_tick
from broker import types
from research import facade
from research.types import AnswerAgain, Opinion, PositionContext, TimeframeInput, price_of
from trading.models import Decision, RiskVerdict, StepRun
from trading.models.decision import Purpose
from trading.risk import decision_freshness, order_size, protective_bracket
from trading.risk.base import Proposal, Verdict
from trading.risk.sizing import Room, size_entry
from trading.selectors.contracts import listed
from trading.selectors.desk_state import desk_state
from trading.selectors.ledger import EMPTY
from trading.selectors.second_looks import question_calls
from trading.services.bars import bars_load
from trading.services.charts import indicator_parameters
from trading.services.decisions import Facts, purpose_of, reward

PERMISSION = "trading.run_cycle"
RULES: tuple[tuple[str, Callable[[Proposal], Verdict]], ...] = (
    ("protective_bracket", protective_bracket.check),
    ("order_size", order_size.check),
    ("decision_freshness", decision_freshness.check),
)
# Judged by moments that are not kept: how old it was, and what was held, when the controls spoke.
OF_THE_MOMENT = {"STALE_DECISION", "POSITION_CHANGED"}
DECISION = "decision"
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that was judged: what came out then, and what comes out today."""

    name: str
    then: str
    today: str

    @property
    def same(self) -> bool:
        """Whether both are the same."""
        return self.then == self.today


@dataclass(slots=True)
class Replay:
    """What was compared, and what could not be judged."""

    parts: list[Part] = field(default_factory=list)
    not_judged: list[str] = field(default_factory=list)

    def compare(self, name: str, then: object, today: object) -> None:
        """Keep both in words; numbers without the zeros that the database keeps."""
        self.parts.append(Part(name, _words(then), _words(today)))

    @property
    def sentence(self) -> str:
        """What came of it, in one sentence."""
        different = [part.name for part in self.parts if not part.same]
        came = f"different: {', '.join(different)}" if different else "all the same"
        return f"{len(self.parts)} parts judged, {came}" + (
            f"; {len(self.not_judged)} not judged" if self.not_judged else ""
        )


def decision_replay(decision: Decision, *, actor: str, key: str) -> Replay:
    """Judge it again and keep what came of it in the audit log; the same `key` is kept once."""
    found = replayed(decision)
    parts = [{**asdict(part), "same": part.same} for part in found.parts]
    correlation = f"{decision.execution.correlation_id[:50]}.{key[:12]}"
    try:
        with audit.acting(actor=actor, correlation_id=correlation), audit.recording():
            audit.record(
                EventType.DECISION_REPLAYED,
                f"decision:{decision.pk}",
                version=1,
                account=decision.account_id,
                cause=found.sentence,
                market_at=decision.market_at,
                document={"instrument": decision.instrument_id, "parts": parts, "not_judged": found.not_judged},
            )
    except AlreadyDone:
        pass
    return found


def replayed(decision: Decision) -> Replay:
    """The judgement alone; it writes nothing."""
    found = Replay()
    opinion = _opinion_of_model(decision, found) if question_calls(decision) else _opinion_of_rules(decision, found)
    if opinion is None:
        return found
    _compare_opinion(decision, opinion, found)
    if decision.type == "hold" or opinion.type == "hold":
        return found
    _compare_numbers(decision, opinion, found)
    if decision.purpose == Purpose.ENTRY:
        _compare_controls(decision, opinion, found)
    return found


def _opinion_of_model(decision: Decision, found: Replay) -> Opinion | None:
    """What its stored answers come to; None where one of them cannot be read."""
    opinion = None
    for record, told in question_calls(decision):
        try:
            again = facade.answer_again(record, told)
        except ValueError as error:
            found.not_judged.append(f"the answer to {record.purpose}: {error}")
            return None
        failure = again.failure.code if again.failure else ""
        found.compare(f"answer to {record.purpose}", told.error.partition(":")[0] or "accepted", failure or "accepted")
        if failure:
            return _hold(decision, failure)
        if record.purpose == DECISION:
            opinion = _opinion(decision, again)
    if opinion is None:
        found.not_judged.append("the decision itself: no answer to that question is stored")
    return opinion


def _opinion(decision: Decision, again: AnswerAgain) -> Opinion:
    told = again.document or {}
    if told["type"] == "hold" or told["target_price"] is None or told["stop_loss"] is None:
        return replace(_hold(decision, "model_hold"), confidence=told["confidence"])
    return replace(
        _hold(decision, ""),
        type=told["type"],
        current_price=price_of(told["current_price"]),
        target_price=price_of(told["target_price"]),
        stop_loss=price_of(told["stop_loss"]),
        confidence=told["confidence"],
    )


def _hold(decision: Decision, reason: str) -> Opinion:
    return Opinion.hold(decision.instrument.symbol, reason=reason, detail="", decided_by=decision.decided_by)


def _opinion_of_rules(decision: Decision, found: Replay) -> Opinion | None:
    """What the rules of today say of the stored bars at the price they saw."""
    rules = facade.analyst("rules")
    rows = list(decision.execution.analyses.filter(timeframe__gt=0).select_related("bars").order_by("timeframe"))
    if decision.decided_by != rules.decided_by:
        found.not_judged.append(
            f"the opinion: {decision.decided_by} decided, {rules.decided_by} are the rules of today"
        )
        return None
    if decision.claimed_price is None or not rows or any(row.bars is None for row in rows):
        found.not_judged.append("the opinion: the bars or the price that the rules saw are not kept")
        return None
    chosen = _parameters(decision)
    frames = [(row, bars_load(row.bars)) for row in rows if row.bars is not None]
    seen = [
        rules.analyze(
            TimeframeInput(row.period, bars, facade.indicators(bars, chosen), bars.as_of, ordinal=row.timeframe)
        ).value
        for row, bars in frames
    ]
    for (row, _), analysis in zip(frames, seen, strict=True):
        found.compare(f"direction of {row.bar_size}", row.direction, analysis.direction)
    joined = rules.consolidate(tuple(seen)).value
    return rules.decide(joined, decision.claimed_price, PositionContext(), decision.strategy_used).value


def _parameters(decision: Decision) -> Any:
    step = StepRun.objects.filter(execution=decision.execution_id, name="generate_chart").first()
    told = step.output.get("parameters") if step else None
    return indicator_parameters(told if isinstance(told, dict) else {})


def _compare_opinion(decision: Decision, opinion: Opinion, found: Replay) -> None:
    found.compare("decision", decision.type, opinion.type)
    if decision.type == "hold" and opinion.type == "hold":
        found.compare("reason", decision.reasons[0] if decision.reasons else "", opinion.reason)
        return
    tick = decision.instrument.tick
    found.compare("target", _on_grid(decision.target_price, tick), _on_grid(opinion.target_price, tick))
    found.compare("stop", _on_grid(decision.stop_price, tick), _on_grid(opinion.stop_loss, tick))
    found.compare("confidence", _rounded(decision.confidence), _rounded(opinion.confidence))


def _compare_numbers(decision: Decision, opinion: Opinion, found: Replay) -> None:
    """R, the margin and what it means for what was held, from the stored quote."""
    if decision.price is None:
        found.not_judged.append("R and margin: the market's price is not kept")
    else:
        tick = decision.instrument.tick
        target, stop = _on_grid(opinion.target_price, tick), _on_grid(opinion.stop_loss, tick)
        gained = reward("BUY" if opinion.type == "buy" else "SELL", decision.price, target, stop)
        found.compare("R", decision.reward_ratio, gained.ratio)
        found.compare("profit margin", decision.profit_margin, gained.margin)
    facts = Facts(
        quote=_quote(decision),
        position=decision.position_quantity,
        entry_working="entry_working" in decision.reasons,
        allow_add=_allows_adding(decision),
        market_now=decision.market_at,
    )
    purpose, _ = purpose_of(opinion.type, facts, allow_short=decision.strategy.allow_short)
    found.compare("what it means", decision.purpose, purpose)
    found.not_judged.append("whether an entry worked at that moment: taken as it was decided then")


def _quote(decision: Decision) -> types.Quote:
    instrument = decision.instrument
    return types.Quote(
        instrument.con_id or 0, instrument.symbol, decision.bid, decision.ask, decision.price, None, None, None, None,
        decision.quote_at or decision.market_at, "frozen",
    )  # fmt: skip


def _allows_adding(decision: Decision) -> bool:
    steps = decision.execution.workflow_version.steps
    chosen = [step.get("parameters") or {} for step in steps if step.get("name") == "decide"]
    return any(bool(part.get("allow_add")) for part in chosen)


def _compare_controls(decision: Decision, opinion: Opinion, found: Replay) -> None:
    """The size and the controls whose numbers were all written down, by the limits of today."""
    then = {row.rule: row for row in RiskVerdict.objects.filter(decision=decision)}
    if not then:
        found.not_judged.append("size and controls: they never spoke about it")
        return
    quantity = _compare_size(decision, then, found)
    proposal = _proposal(decision, opinion, quantity)
    for name, check in RULES:
        if name not in then:
            found.not_judged.append(f"the control {name}: it did not speak then")
            continue
        today = ", ".join(_kept(check(proposal).codes)) or "allowed"
        found.compare(f"control {name}", _codes_then(then[name]), today)
    others = sorted(set(then) - {name for name, _ in RULES})
    found.not_judged.append(
        f"{len(others)} controls ({', '.join(others)}): what they looked at (ledger, account, clock) is not kept whole"
    )
    limits = decision.strategy.risk_profile
    found.not_judged.append(f"the limits of that day: judged by those of today, {limits} version {limits.version}")


def _compare_size(decision: Decision, then: Mapping[str, RiskVerdict], found: Replay) -> Decimal:
    """The size that today's sizing comes to, from what the controls wrote down; then's, where that is too little."""
    stored = decision.quantity if decision.quantity is not None else ZERO
    room, lot = _room(then), decision.instrument.lot
    if room is None or lot is None or decision.limit_price is None or decision.stop_price is None:
        found.not_judged.append("the size: equity, funds, exposure or prices are not kept")
        return stored
    size = size_entry(
        limit=decision.limit_price,
        stop=decision.stop_price,
        lot=lot,
        room=room,
        limits=decision.strategy.risk_profile,
    )
    found.compare("size", stored, size.quantity)
    return size.quantity


def _room(then: Mapping[str, RiskVerdict]) -> Room | None:
    """What sizing looked at, out of the numbers of the controls; None where one is missing."""
    numbers = [
        _number(then, *place)
        for place in (
            ("position_limits", "equity"),
            ("buying_power", "left"),
            ("position_limits", "total"),
            ("position_limits", "instrument"),
            ("order_size", "value"),
        )
    ]
    if any(number is None for number in numbers):
        return None
    equity, left, total, instrument, value = (number for number in numbers if number is not None)
    return Room(equity, left, total - value, instrument - value)


def _number(then: Mapping[str, RiskVerdict], rule: str, name: str) -> Decimal | None:
    told = then[rule].values.get(name) if rule in then else None
    try:
        number = Decimal(str(told))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _proposal(decision: Decision, opinion: Opinion, quantity: Decimal) -> Proposal:
    """The entry as those controls look at it; what only other controls look at is left empty."""
    instrument, strategy = decision.instrument, decision.strategy
    side = "BUY" if opinion.type == "buy" else "SELL"
    target, stop = _on_grid(opinion.target_price, instrument.tick), _on_grid(opinion.stop_loss, instrument.tick)
    gained, contracts = reward(side, decision.price, target, stop), listed(strategy.risk_profile, strategy)
    return Proposal(
        purpose="entry", side=side, order_type="LMT", quantity=quantity, limit_price=decision.limit_price,
        stop_price=stop, target_price=target, account=decision.account_id, strategy=strategy, instrument=instrument,
        symbol=instrument.symbol, con_id=instrument.con_id, currency=instrument.currency,
        base_currency=decision.account.base_currency, tick=instrument.tick, lot=instrument.lot, price=decision.price,
        bid=decision.bid, ask=decision.ask, close=None, quote_at=decision.quote_at,
        claimed_price=decision.claimed_price, reward_ratio=gained.ratio, profit_margin=gained.margin,
        decided_at=decision.market_at, market_now=decision.market_at, day_began=decision.market_at,
        position=decision.position_quantity, equity=None, available_funds=None, funds_in_flight=ZERO,
        allowed_con_ids=contracts.allowed, restricted_con_ids=contracts.restricted, allow_short=strategy.allow_short,
        limits=strategy.risk_profile, ledger=replace(EMPTY, position=decision.position_quantity),
        desk=desk_state(None),
    )  # fmt: skip


def _codes_then(row: RiskVerdict) -> str:
    if row.allowed:
        return "allowed"
    codes = str(row.values.get("codes") or row.code).split(", ")
    return ", ".join(_kept(codes)) or "allowed"


def _kept(codes: list[str]) -> Iterator[str]:
    return (code for code in codes if code not in OF_THE_MOMENT)


def _on_grid(price: Decimal | None, tick: Decimal | None) -> Decimal | None:
    return to_tick(price, tick) if price is not None and tick is not None and tick > 0 else price


def _rounded(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def _words(value: object) -> str:
    if value is None:
        return "none"
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
