"""Cycles over REST: start one, watch it down to its orders, and cancel it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import QuerySet
from django_filters import CharFilter, ChoiceFilter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.errors import Conflict, Invalid
from autotrader.core.rest.documents import Answer
from autotrader.core.rest.limits import limits_of
from autotrader.core.rest.lists import ListEndpoint
from autotrader.core.rest.serializers import Body
from autotrader.core.rest.views import Endpoint, actor_of
from trading.api.filters import TimeFilter, filters
from trading.models import Cycle
from trading.models.cycle import CycleState
from trading.selectors.cycle_documents import (
    CycleDocument,
    CycleRow,
    CycleUnknown,
    cycle_document,
    cycle_row,
    cycles_seen,
)
from trading.selectors.executions import orders_sent
from trading.selectors.requests import OrderLine, order_line
from trading.services.cycle_cancels import LONGEST_REASON, cycle_cancel
from trading.services.cycle_cancels import PERMISSION as RUN_PERMISSION
from trading.services.cycles import cycle_ask

TRIGGERS = ("schedule", "manual", "command", "api")


class NewCycle(Body):
    """Which strategies to run now, on which of their instruments (none named: on all of them)."""

    strategies = serializers.ListField(
        child=serializers.CharField(max_length=80), min_length=1, max_length=50, help_text="Names."
    )
    symbols = serializers.ListField(
        child=serializers.CharField(max_length=20), max_length=500, default=list, help_text="As the broker writes them."
    )
    dry_run = serializers.BooleanField(default=False, help_text="Stop before an order is written.")


class CancelBody(Body):
    """Why, if there is anything to say."""

    reason = serializers.CharField(
        max_length=LONGEST_REASON, allow_blank=True, default="", help_text="Kept in the audit log."
    )


@dataclass(frozen=True, slots=True)
class CycleCancelDocument:
    """What a cancel came to: ids of executions that it `ended` while they waited, ids of those that it `fenced` in a
    worker's hands, and the orders that were `sent` before it, which stay as they are."""

    cycle: CycleDocument
    ended: list[int]
    fenced: list[int]
    sent: list[OrderLine]


class CyclesEndpoint(ListEndpoint):
    """GET: cycles, the newest first.

    POST: queue a cycle; a worker takes it up, and its correlation id is that of this request.
    """

    permissions = {"GET": "trading.view_cycle", "POST": RUN_PERMISSION}
    atomic = True
    body = NewCycle
    answers = {"GET": CycleRow, "POST": Answer(CycleDocument, (202,))}
    filterset_class = filters(
        "CycleFilters",
        **{
            "state": ChoiceFilter(choices=CycleState.choices, help_text="The cycle's state."),
            "trigger": ChoiceFilter(choices=[(name, name) for name in TRIGGERS], help_text="What started it."),
            "account": CharFilter(max_length=40, help_text="The account's id."),
            "correlation_id": CharFilter(max_length=64, help_text="The cycle of this id."),
            "from": TimeFilter("created_at", "gte", help_text="Asked for at this time or later."),
            "to": TimeFilter("created_at", "lt", help_text="Asked for before this time."),
        },
    )

    def queryset(self) -> QuerySet[Cycle]:
        return Cycle.objects.all()

    def limited(self, rows: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
        return cycles_seen(limits_of(self.request))

    def document(self, row: Cycle) -> dict[str, Any]:
        return asdict(cycle_row(row))

    def check_told(self, request: Request, told: Mapping[str, Any], **kwargs: Any) -> None:
        cycle_document(told["id"], limits_of(request))

    def post(self, request: Request) -> Response:
        limits = limits_of(request)
        cycle = cycle_ask(
            **_wanted(self.told(request)), actor=actor_of(request), correlation_id=self.correlation_id, limits=limits
        )
        return Response(asdict(cycle_document(cycle.pk, limits)), status=202)


class CycleEndpoint(Endpoint):
    """GET: one cycle with its executions, steps, decisions and orders."""

    permissions = {"GET": "trading.view_cycle"}
    answers = {"GET": CycleDocument}
    errors = (CycleUnknown,)
    etag = True

    def get(self, request: Request, pk: int) -> Response:
        return Response(asdict(cycle_document(pk, limits_of(request))))


class CycleCancelEndpoint(Endpoint):
    """POST: cancel a cycle. What waits ends at once; a worker that runs sends nothing more; what was sent stays."""

    permissions = {"POST": RUN_PERMISSION}
    atomic = True
    body = CancelBody
    answers = {"POST": CycleCancelDocument}
    errors = (CycleUnknown, Conflict, Invalid)

    def check_told(self, request: Request, told: Mapping[str, Any], **kwargs: Any) -> None:
        cycle_document(kwargs["pk"], limits_of(request))

    def post(self, request: Request, pk: int) -> Response:
        limits = limits_of(request)
        cycle_document(pk, limits)  # a key ends nothing that it may not see whole
        done = cycle_cancel(pk, actor=actor_of(request), reason=self.told(request)["reason"])
        sent = [order_line(order) for order in orders_sent(done.cycle)]
        told = CycleCancelDocument(cycle_document(pk, limits), list(done.ended), list(done.fenced), sent)
        return Response(asdict(told))


def _wanted(told: dict[str, Any]) -> dict[str, Any]:
    return {"names": list(dict.fromkeys(told["strategies"])), "symbols": told["symbols"], "dry_run": told["dry_run"]}
