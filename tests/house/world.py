"""One of everything that an address can name, made through the services."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django_q.tasks import async_task

from autotrader.core import audit
from tests.house.routes import Route
from tests.trading.asking import asked
from tests.trading.builders import ACCOUNT, NOW, strategy
from tests.trading_admin.story import Told, tell
from trading.models import Approval, Discrepancy, Strategy
from trading.models.discrepancy import DiscrepancyKind
from trading.services.discrepancies import discrepancy_open

# A part of an address of the API or of a page, and the model whose ids follow it.
OF_API = {
    "approvals": "trading.Approval",
    "cycles": "trading.Cycle",
    "decisions": "trading.Decision",
    "discrepancies": "trading.Discrepancy",
    "executions": "trading.WorkflowExecution",
    "instruments": "trading.Instrument",
    "strategies": "trading.Strategy",
    "workflows": "trading.Workflow",
    "risk-profiles": "trading.RiskProfile",
}


@dataclass(frozen=True, slots=True)
class World:
    """A filled buy with its story, an approval that waits, an open difference, and a strategy without part in them."""

    told: Told
    approval: Approval
    discrepancy: Discrepancy
    other: Strategy

    def values(self, route: Route) -> dict[str, object]:
        """What stands in the places of a route's parameters."""
        return {name: self._value(route, name) for name in route.parameters}

    def _value(self, route: Route, name: str) -> object:
        parts = route.pattern.strip("/").split("/")
        if name == "order_ref":
            return self.told.orders[0].order_ref
        if name == "analysis" or route.name == "admin:trading_decision_chart":
            return self.told.execution.analyses.get(timeframe=1).pk
        if name == "content_type_id":
            return ContentType.objects.get_for_model(Strategy).pk
        if name == "app_label":
            return "trading"
        if name in ("pk", "object_id"):
            return _key_of(parts)
        return "nothing-here"


def build() -> World:
    """Make it."""
    approval = asked()
    told = tell("buy")
    with audit.acting(actor="broker"), audit.recording():
        found = discrepancy_open(
            ACCOUNT, DiscrepancyKind.POSITION, "position:7", detail="d", market_at=NOW, ours="0", theirs="10"
        )
    async_task("trading.tasks.wake", cluster="work")  # a row of the queue, so that its page is one
    return World(told, approval, found, strategy("other", symbols=("SPY",)))


def _key_of(parts: list[str]) -> Any:
    """The id of the first row of the model that an address is about; 1 where there is none."""
    if parts[0] == "admin":
        model = apps.get_model(parts[1], parts[2]) if parts[1] != "r" else Strategy
    else:
        model = apps.get_model(next(OF_API[part] for part in parts if part in OF_API))
    found: Model | None = model._default_manager.order_by("pk").first()
    return found.pk if found is not None else 1
