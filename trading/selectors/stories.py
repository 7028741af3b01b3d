"""What a page needs to explain a decision, an order, an execution or a cycle, each in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Prefetch, Q

from autotrader.core.audit.models import Event
from trading.models import (
    Analysis,
    Cycle,
    Decision,
    Discrepancy,
    Fill,
    Order,
    OrderChange,
    RiskVerdict,
    StepRun,
    Trade,
    WorkflowExecution,
)
from trading.models.decision import DecisionState, DecisionType
from trading.models.order import Role
from trading.selectors.discrepancies import open_of_order
from trading.selectors.trade_costs import TradeResult, results_of

SHOWN_EVENTS = 200
SHOWN_EXECUTIONS = 200
LEG_ORDER = {Role.ENTRY: 0, Role.EXIT: 1, Role.TARGET: 2, Role.STOP: 3, Role.EXTERNAL: 4}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One number as the analyst claims it beside the one we computed; `kind` says how it is written."""

    label: str
    claimed: Decimal | float | None
    ours: Decimal | float | None
    kind: str
    note: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One step on the time line; `left` and `width` are per cent of the whole."""

    step: StepRun
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Ladder:
    """Stop, price and target on one line from low to high; places in per cent of it."""

    left: Decimal
    right: Decimal
    price_at: float
    long: bool

    @property
    def rest(self) -> float:
        """From the price to the right end."""
        return round(100 - self.price_at, 1)

    @property
    def word_at(self) -> float:
        """Where the price is written: at its mark, but clear of both ends."""
        return min(max(self.price_at, 20.0), 80.0)

    @property
    def words(self) -> tuple[str, str]:
        """What stands at the left and the right end."""
        return ("stop", "target") if self.long else ("target", "stop")

    @property
    def styles(self) -> tuple[str, str]:
        """The classes of the left and the right part."""
        return ("desk-risk", "desk-reward") if self.long else ("desk-reward", "desk-risk")


@dataclass(frozen=True, slots=True)
class DecisionStory:
    """A decision with everything that explains it, in reading order."""

    decision: Decision
    why: str
    comparisons: list[Comparison]
    analyses: list[Analysis]
    model_calls: list[int]
    verdicts: list[RiskVerdict]
    orders: list[Order]
    changes: list[OrderChange]
    fills: list[Fill]
    trades: list[Trade]
    results: list[TradeResult]
    steps: list[Bar]
    events: list[Event]

    @property
    def target_distance(self) -> Decimal | None:
        """How far the target is from the price, as a signed fraction of the price."""
        return _distance(self.decision.target_price, self.decision.price)

    @property
    def stop_distance(self) -> Decimal | None:
        """How far the stop is from the price, as a signed fraction of the price."""
        return _distance(self.decision.stop_price, self.decision.price)

    @property
    def ladder(self) -> Ladder | None:
        """The three prices on one line; None where one is missing or they are in no sound order."""
        return _ladder(self.decision)

    @property
    def charts(self) -> list[Analysis]:
        """The analyses that have bars to draw."""
        return [analysis for analysis in self.analyses if analysis.bars_id or analysis.chart_id]


@dataclass(frozen=True, slots=True)
class OrderStory:
    """An order with its group, fills, changes and events."""

    order: Order
    group: list[Order]
    fills: list[Fill]
    changes: list[OrderChange]
    events: list[Event]
    discrepancies: list[Discrepancy]

    @property
    def order_refs(self) -> list[str]:
        """The references of the whole group, whose frames left together."""
        return [leg.order_ref for leg in self.group]


@dataclass(frozen=True, slots=True)
class ExecutionStory:
    """An execution with its steps and what came of it."""

    execution: WorkflowExecution
    decision: Decision | None
    steps: list[Bar]
    orders: list[Order]
    events: list[Event]


@dataclass(frozen=True, slots=True)
class CycleStory:
    """A cycle with the newest of its executions, oldest first; `total` is how many it has."""

    cycle: Cycle
    executions: list[WorkflowExecution]
    total: int
    events: list[Event]


def decision_story(decision: Decision) -> DecisionStory:
    """Everything the decision page shows."""
    row = Decision.objects.select_related(
        "instrument", "strategy__risk_profile", "account", "execution__cycle", "execution__workflow_version__workflow"
    ).get(pk=decision.pk)
    analyses = list(row.execution.analyses.select_related("bars", "chart").order_by("timeframe"))
    verdicts = list(row.verdicts.order_by("allowed", "id"))
    changes = list(OrderChange.objects.filter(decision=row).select_related("order__instrument"))
    orders = _legs(row) + [change.order for change in changes]
    trades = _trades(row, orders)
    return DecisionStory(
        decision=row,
        why=why(row, verdicts),
        comparisons=_comparisons(row),
        analyses=analyses,
        model_calls=_model_calls(row, analyses),
        verdicts=verdicts,
        orders=orders,
        changes=changes,
        fills=_fills(Q(order__in=orders)),
        trades=trades,
        results=results_of(trades),
        steps=timeline(row.execution.steps.order_by("index")),
        events=_events(row.execution.correlation_id, [f"order:{order.order_ref}" for order in orders]),
    )


def why(decision: Decision, verdicts: Iterable[RiskVerdict]) -> str:
    """The one sentence: the refusing rule's own words where a rule refused, else the rationale's first sentence."""
    code = str(decision.reasons[0]) if decision.reasons else ""
    if decision.state == DecisionState.REFUSED:
        refusals = [verdict for verdict in verdicts if not verdict.allowed]
        for verdict in sorted(refusals, key=lambda verdict: verdict.code != code):
            return _sentence(verdict.message)
    reason = code.replace("_", " ").lower()
    if decision.state == DecisionState.HOLD and decision.type != DecisionType.HOLD and reason:
        return f"The analyst says {decision.type}; nothing is done: {reason}."
    sentence = decision.rationale.strip().split("\n")[0]
    return _sentence(sentence or reason or "no reason was recorded")


def _sentence(text: str) -> str:
    """The text with a capital at its start and a stop at its end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", "…")) else ".")


def order_story(order: Order) -> OrderStory:
    """Everything the order page shows."""
    row = Order.objects.select_related(
        "instrument", "strategy", "account", "request", "decision__instrument", "decision__execution__cycle", "parent"
    ).get(pk=order.pk)
    group = Order.objects.filter(account=row.account_id, group=row.group).select_related("instrument")
    return OrderStory(
        order=row,
        group=sorted(group, key=lambda leg: LEG_ORDER[Role(leg.role)]),
        fills=_fills(Q(order=row)),
        changes=list(row.changes.order_by("revision")),
        discrepancies=open_of_order(row),
        events=list(
            _events_of(Q(subject=f"order:{row.order_ref}") | Q(subject__startswith=f"change:{row.order_ref}."))
        ),
    )


def execution_story(execution: WorkflowExecution) -> ExecutionStory:
    """Everything the execution page shows."""
    row = WorkflowExecution.objects.select_related(
        "cycle", "strategy", "instrument", "account", "workflow_version__workflow", "decision__instrument"
    ).get(pk=execution.pk)
    decision = getattr(row, "decision", None)
    return ExecutionStory(
        execution=row,
        decision=decision,
        steps=timeline(row.steps.order_by("index")),
        orders=_legs(decision) if decision else [],
        events=_events(row.correlation_id, []),
    )


def cycle_story(cycle: Cycle) -> CycleStory:
    """Everything the cycle page shows."""
    executions = (
        cycle.executions.select_related("strategy", "instrument", "decision__instrument")
        .prefetch_related(Prefetch("decision__orders", Order.objects.order_by("id")))
        .order_by("-id")[:SHOWN_EXECUTIONS]
    )
    newest = list(executions)[::-1]
    total = cycle.executions.count() if len(newest) == SHOWN_EXECUTIONS else len(newest)
    return CycleStory(cycle=cycle, executions=newest, total=total, events=_events(cycle.correlation_id, []))


def timeline(steps: Iterable[StepRun]) -> list[Bar]:
    """The steps as bars on one scale, from the first start to the last end; a step is never thinner than visible."""
    rows = list(steps)
    if not rows:
        return []
    start = min(step.started_at for step in rows)
    whole = max((max(step.finished_at for step in rows) - start).total_seconds(), 0.001)
    bars = []
    for step in rows:
        left = round(100 * (step.started_at - start).total_seconds() / whole, 1)
        width = round(100 * (step.finished_at - step.started_at).total_seconds() / whole, 1)
        bars.append(Bar(step, min(left, 99.4), max(width, 0.6)))
    return bars


def _distance(level: Decimal | None, price: Decimal | None) -> Decimal | None:
    return None if level is None or not price else (level - price) / price


def _ladder(decision: Decision) -> Ladder | None:
    price, stop, target = decision.price, decision.stop_price, decision.target_price
    if price is None or stop is None or target is None:
        return None
    low, high = min(stop, target), max(stop, target)
    if not low < price < high:
        return None
    return Ladder(
        left=low, right=high, price_at=round(float(100 * (price - low) / (high - low)), 1), long=stop < target
    )


def _comparisons(decision: Decision) -> list[Comparison]:
    hold = decision.type == DecisionType.HOLD
    rows = [
        Comparison("Price", decision.claimed_price, decision.price, "price", "market price at the decision"),
        Comparison(
            "Reward to risk (R)",
            decision.claimed_reward_ratio,
            decision.reward_ratio,
            "ratio",
            "|target − price| / |price − stop|",
        ),
        Comparison(
            "Profit margin",
            decision.claimed_profit_margin,
            decision.profit_margin,
            "percent",
            "|target − price| / price",
        ),
    ]
    return [row for row in rows if not hold or row.claimed is not None or row.ours is not None]


def _model_calls(decision: Decision, analyses: Iterable[Analysis]) -> list[int]:
    """The ids of every paid call behind the decision, in order and once each."""
    ids = [call for analysis in analyses for call in analysis.model_calls]
    return [call for call in dict.fromkeys([*ids, *decision.model_calls]) if isinstance(call, int)]


def _legs(decision: Decision) -> list[Order]:
    legs = decision.orders.select_related("instrument").all()
    return sorted(legs, key=lambda leg: LEG_ORDER[Role(leg.role)])


def _fills(which: Q) -> list[Fill]:
    return list(Fill.objects.filter(which).select_related("order").order_by("time", "id"))


def _trades(decision: Decision, orders: list[Order]) -> list[Trade]:
    """Trades the decision opened, and those the fills of its orders changed."""
    touched = Fill.objects.filter(order__in=orders).values("trade")
    mine = Trade.objects.filter(Q(decision=decision) | Q(pk__in=touched))
    return list(mine.select_related("instrument", "strategy").order_by("id"))


def _events(correlation_id: str, subjects: list[str]) -> list[Event]:
    return list(_events_of(Q(correlation_id=correlation_id) | Q(subject__in=subjects)))


def _events_of(which: Q) -> Iterable[Event]:
    newest = Event.objects.filter(which).order_by("-seq")[:SHOWN_EVENTS]
    return reversed(newest)
