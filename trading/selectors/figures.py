"""The desk in numbers, straight from its rows: what the metrics tell of cycles, decisions, orders and controls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Count, Model, Q

from autotrader.core.ops.figures import Figure
from autotrader.core.ops.tally import Counted, Tally
from trading.models import (
    Approval,
    ApprovalVote,
    Cycle,
    Decision,
    Discrepancy,
    Fill,
    Order,
    OrderRequest,
    RiskVerdict,
    StepRun,
    Trade,
    WorkflowExecution,
)
from trading.models.cycle import CYCLE_ENDED, EXECUTION_ENDED
from trading.selectors.lanes import waiting

UNDER_WAY = ~Q(state__in=EXECUTION_ENDED)
# A decision that was allowed may still be refused by the last look before the broker, or by a person.
MAY_BE_REFUSED = ~Q(execution__state__in=EXECUTION_ENDED) | Q(approval__state__in=("PENDING", "APPROVED"))
UNSETTLED = Q(state="PROPOSED") | Q(state="ALLOWED") & MAY_BE_REFUSED
ALLOWED = {True: "allowed", False: "refused"}
VOTES = {True: "yes", False: "no"}


class DeskFigures:
    """Asked again and again; it remembers what no longer changes, and reads the rest."""

    def __init__(self) -> None:
        cycles = ("state", "trigger")
        self._cycles = Tally(Counted(Cycle, "created_at", cycles, open=~Q(state__in=CYCLE_ENDED)))
        self._executions = Tally(Counted(WorkflowExecution, "created_at", ("state",), open=UNDER_WAY))
        self._steps = Tally(Counted(StepRun, "finished_at", ("name", "state")))
        self._decisions = Tally(Counted(Decision, "at", ("type", "state"), open=UNSETTLED))
        self._verdicts = Tally(Counted(RiskVerdict, "at", ("rule", "allowed")))
        self._fills = Tally(Counted(Fill, "at"))
        self._requests = Tally(Counted(OrderRequest, "created_at", ("kind", "state"), open=Q(state="RECEIVED")))
        self._votes = Tally(Counted(ApprovalVote, "at", ("approve",)))

    def read(self, now: datetime) -> Iterable[Figure]:
        """Every figure, each equal to the count of its rows at this moment."""
        return [*self._of_work(now), *self._of_orders(now), *_of_queue()]

    def _of_work(self, now: datetime) -> Iterable[Figure]:
        cycles = _read(self._cycles, now)
        yield Figure("cycles", "Cycles by state and what started them.", "gauge", ("state", "trigger"), cycles)
        yield Figure("executions", "Strategies by instrument.", "gauge", ("state",), _read(self._executions, now))
        yield Figure("steps", "Steps of executions.", "counter", ("step", "state"), _read(self._steps, now))
        decisions = _read(self._decisions, now)
        yield Figure("decisions", "Decisions, and what became of them.", "gauge", ("type", "state"), decisions)
        verdicts = {(rule, ALLOWED[said]): rows for (rule, said), rows in _read(self._verdicts, now).items()}
        yield Figure("verdicts", "What each control said.", "counter", ("control", "word"), verdicts)

    def _of_orders(self, now: datetime) -> Iterable[Figure]:
        yield _gauge("orders", "Orders by state.", Order, "state")
        yield Figure("fills", "Executions booked, also those corrected since.", "counter", (), _read(self._fills, now))
        yield _gauge("trades", "Round trips by state.", Trade, "state")
        requests = _read(self._requests, now)
        yield Figure("order_requests", "What people and programs asked for.", "gauge", ("kind", "state"), requests)
        yield _gauge("approvals", "Approvals by state.", Approval, "state")
        votes = {(VOTES[approve],): rows for (approve,), rows in _read(self._votes, now).items()}
        yield Figure("approval_votes", "What people said of approvals.", "counter", ("word",), votes)
        open_ones = _grouped(Discrepancy, ("kind",), Q(state="OPEN"))
        yield Figure("discrepancies_open", "Differences that a person must see.", "gauge", ("kind",), open_ones)


def _of_queue() -> Iterable[Figure]:
    lanes = waiting()
    counts = {(lane.lane,): lane.waiting for lane in lanes}
    ages = {(lane.lane,): lane.oldest_s for lane in lanes}
    yield Figure("queue_waiting", "Rows of work that are free to be taken.", "gauge", ("lane",), counts)
    yield Figure("queue_oldest_seconds", "How long the oldest of them has been free.", "gauge", ("lane",), ages)


def _read(tally: Tally, now: datetime) -> dict[tuple[Any, ...], int]:
    return {labels: numbers[0] for labels, numbers in tally.read(now).items()}


def _gauge(name: str, doc: str, model: type[Model], *labels: str) -> Figure:
    return Figure(name, doc, "gauge", labels, _grouped(model, labels, Q()))


def _grouped(model: type[Model], labels: tuple[str, ...], where: Q) -> Mapping[tuple[str, ...], int]:
    rows = model._default_manager.filter(where).order_by().values_list(*labels).annotate(rows=Count("pk"))
    return {tuple(row[:-1]): row[-1] for row in rows}
