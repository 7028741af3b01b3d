"""Workflows over REST: the recipes, their versions step by step, and what each step may be told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django_filters import CharFilter
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.rest.limits import refuse_limited
from autotrader.core.rest.lists import ListEndpoint
from autotrader.core.rest.views import Endpoint
from trading.api.filters import filters
from trading.models import Workflow, WorkflowVersion
from trading.selectors.settings import NotSetUp, workflow_named, workflows_with_versions
from trading.workflow.step_forms import StepForm, step_forms


@dataclass(frozen=True, slots=True)
class StepDocument:
    """One step of a version: what it is told, and the seconds to wait before it."""

    name: str
    parameters: dict[str, Any]
    delay_s: int


@dataclass(frozen=True, slots=True)
class VersionDocument:
    """One numbered list of steps; it may run once it is published, and never changes from then on."""

    id: int
    number: int
    published_at: datetime | None
    published_by: str
    steps: list[StepDocument]


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """A recipe; `published` is the id of its newest version that may run, null where none may."""

    id: int
    name: str
    description: str
    versions: int
    published: int | None


@dataclass(frozen=True, slots=True)
class WorkflowDocument:
    """A recipe with its versions, the newest first, and the form of every step that they name."""

    id: int
    name: str
    description: str
    versions: list[VersionDocument]
    steps: list[StepForm]


class WorkflowsEndpoint(ListEndpoint):
    """GET: the workflows, the newest first."""

    permissions = {"GET": "trading.view_workflow"}
    answers = {"GET": WorkflowRow}
    filterset_class = filters("WorkflowFilters", name=CharFilter(max_length=80, help_text="The whole name."))

    def queryset(self) -> QuerySet[Workflow]:
        return workflows_with_versions()

    def document(self, row: Workflow) -> dict[str, Any]:
        versions = list(row.versions.all())
        published = next((version.pk for version in versions if version.published_at is not None), None)
        return asdict(WorkflowRow(row.pk, row.name, row.description, len(versions), published))


class WorkflowEndpoint(Endpoint):
    """GET: one workflow with every version, and what its steps may be told."""

    permissions = {"GET": "trading.view_workflow"}
    answers = {"GET": WorkflowDocument}
    errors = (NotSetUp,)
    etag = True

    def get(self, request: Request, pk: int) -> Response:
        refuse_limited(request)
        return Response(asdict(document(workflow_named(pk))))


def document(workflow: Workflow) -> WorkflowDocument:
    """The workflow as programs see it."""
    versions = [_version(row) for row in workflow.versions.all()]
    named = {step.name for version in versions for step in version.steps}
    forms = [form for form in step_forms() if form.name in named]
    return WorkflowDocument(workflow.pk, workflow.name, workflow.description, versions, forms)


def _version(row: WorkflowVersion) -> VersionDocument:
    return VersionDocument(row.pk, row.number, row.published_at, row.published_by, _steps(row.steps))


def _steps(told: Any) -> list[StepDocument]:
    """The steps as they are kept; a draft may hold anything, and what is no step is left out."""
    steps = told if isinstance(told, list) else []
    return [
        StepDocument(str(step.get("name", "")), _object(step.get("parameters")), _whole(step.get("delay_s")))
        for step in steps
        if isinstance(step, dict)
    ]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
