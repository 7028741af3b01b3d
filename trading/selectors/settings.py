"""What people have set up: strategies, workflows with their versions, instruments and limits."""

from __future__ import annotations

from django.db.models import Prefetch, QuerySet

from autotrader.core.errors import AutoTraderError
from trading.models import Instrument, RiskProfile, Strategy, Workflow, WorkflowVersion


class StrategyUnknown(AutoTraderError):
    """There is no such strategy: correct its id."""

    code = "UNKNOWN_STRATEGY"
    status = 404


class NotSetUp(AutoTraderError):
    """There is no such workflow, instrument or risk profile: correct its id."""

    code = "NOT_SET_UP"
    status = 404


def strategies_with_details() -> QuerySet[Strategy]:
    """Strategies with what a list shows of them."""
    rows = Strategy.objects.select_related("workflow_version__workflow", "risk_profile")
    return rows.prefetch_related(Prefetch("instruments", Instrument.objects.order_by("symbol", "id")))


def strategy_named(pk: int) -> Strategy:
    """One strategy with its details. Raises StrategyUnknown."""
    found = strategies_with_details().filter(pk=pk).first()
    if found is None:
        raise StrategyUnknown(f"There is no strategy {pk}.", details={"field": "id"})
    return found


def workflows_with_versions() -> QuerySet[Workflow]:
    """Workflows with their versions, the newest first."""
    return Workflow.objects.prefetch_related(Prefetch("versions", WorkflowVersion.objects.order_by("-number")))


def workflow_named(pk: int) -> Workflow:
    """One workflow with its versions. Raises NotSetUp."""
    found = workflows_with_versions().filter(pk=pk).first()
    if found is None:
        raise NotSetUp(f"There is no workflow {pk}.", details={"field": "id"})
    return found


def instruments_set_up() -> QuerySet[Instrument]:
    """The instruments that people have set up, without those of which only the broker's id is known."""
    return Instrument.objects.exclude(sec_type="")


def instrument_named(pk: int) -> Instrument:
    """One of them. Raises NotSetUp."""
    found = instruments_set_up().filter(pk=pk).first()
    if found is None:
        raise NotSetUp(f"There is no instrument {pk}.", details={"field": "id"})
    return found


def risk_profile_named(pk: int) -> RiskProfile:
    """One profile. Raises NotSetUp."""
    found = RiskProfile.objects.filter(pk=pk).first()
    if found is None:
        raise NotSetUp(f"There is no risk profile {pk}.", details={"field": "id"})
    return found
