"""Strategies over REST: what is set up, changed over the version that was seen, turned on and off; never deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django_filters import CharFilter, ChoiceFilter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.errors import Conflict, Invalid
from autotrader.core.rest.documents import Answer
from autotrader.core.rest.errors import Malformed
from autotrader.core.rest.limits import limits_of, refuse_limited
from autotrader.core.rest.lists import ListEndpoint
from autotrader.core.rest.permissions import may
from autotrader.core.rest.serializers import Body
from autotrader.core.rest.views import Endpoint, actor_of
from trading.api.fields import flag_filter, row_id
from trading.api.filters import filters
from trading.models import Strategy
from trading.models.strategy import Mode
from trading.selectors.settings import StrategyUnknown, strategies_with_details, strategy_named
from trading.services.strategy_settings import LOOSEN_PERMISSION, MayNotLoosen, strategy_change, strategy_create
from trading.services.suspensions import PERMISSION as RESUME_PERMISSION
from trading.services.suspensions import strategy_resume

YEAR_S = 366 * 86_400
ANALYSTS = ("", "rules", "model")


@dataclass(frozen=True, slots=True)
class InstrumentName:
    """An instrument as others name it."""

    id: int
    symbol: str


@dataclass(frozen=True, slots=True)
class StrategyDocument:
    """What a strategy runs, on what, within which limits; `workflow_version` and `risk_profile` are ids.

    `analyst` "" is the model where one is configured, else the rules; `interval_seconds` null is the desk's own
    interval, 0 never. While `suspended_at` is not null a control keeps it from entering.
    """

    id: int
    name: str
    enabled: bool
    mode: Mode
    analyst: str
    workflow: str
    workflow_version: int
    workflow_number: int
    risk_profile: int
    risk_profile_name: str
    instruments: list[InstrumentName]
    parameters: dict[str, Any]
    allow_short: bool
    interval_seconds: int | None
    priority: int
    suspended_at: datetime | None
    suspended_reason: str
    resumed_at: datetime | None
    version: int


class StrategyChange(Body):
    """What may be changed; what is not given stays. `version` is the one that was seen."""

    version = row_id(required=False, help_text="The version that was seen; the header If-Match says the same.")
    name = serializers.CharField(max_length=80, required=False)
    enabled = serializers.BooleanField(required=False)
    mode = serializers.ChoiceField(choices=Mode.choices, required=False)
    analyst = serializers.ChoiceField(choices=ANALYSTS, required=False)
    workflow_version = row_id(required=False, help_text="The id of a published version.")
    risk_profile = row_id(required=False)
    instruments = serializers.ListField(child=row_id(), max_length=500, required=False, help_text="Ids.")
    parameters = serializers.DictField(
        child=serializers.CharField(max_length=80), required=False, help_text="period_1, bar_1, period_2, bar_2 …"
    )
    allow_short = serializers.BooleanField(required=False)
    interval_seconds = serializers.IntegerField(min_value=0, max_value=YEAR_S, allow_null=True, required=False)
    priority = serializers.IntegerField(min_value=-1000, max_value=1000, required=False)


class NewStrategy(StrategyChange):
    """A strategy to be set up."""

    version = None  # type: ignore[assignment]
    name = serializers.CharField(max_length=80)
    workflow_version = row_id(help_text="The id of a published version.")
    risk_profile = row_id()


class Reason(Body):
    """Why."""

    reason = serializers.CharField(max_length=500, help_text="Kept in the audit log.")


FILTERS = filters(
    "StrategyFilters",
    name=CharFilter(max_length=80, help_text="The whole name."),
    mode=ChoiceFilter(choices=Mode.choices, help_text="How its orders leave."),
    enabled=flag_filter("Whether it is turned on."),
)


class StrategiesEndpoint(ListEndpoint):
    """GET: the strategies, the newest first. POST: set up a strategy; it is checked like on its page in the admin."""

    permissions = {"GET": "trading.view_strategy", "POST": "trading.add_strategy"}
    atomic = True
    tagged_by = "version"
    body = NewStrategy
    answers = {"GET": StrategyDocument, "POST": Answer(StrategyDocument, (201,))}
    filterset_class = FILTERS
    strategy_field = "pk"
    errors = {"POST": (MayNotLoosen,)}

    def queryset(self) -> QuerySet[Strategy]:
        return strategies_with_details()

    def document(self, row: Strategy) -> dict[str, Any]:
        return asdict(document(row))

    def post(self, request: Request) -> Response:
        refuse_limited(request)
        made = strategy_create(self.told(request), actor=actor_of(request), may_loosen=may(request, LOOSEN_PERMISSION))
        return answered(made.pk, status=201)


class StrategyEndpoint(Endpoint):
    """GET: one strategy; its ETag is its version. PATCH: change a strategy over the version that was seen."""

    permissions = {"GET": "trading.view_strategy", "PATCH": "trading.change_strategy"}
    atomic = True
    tagged_by = "version"
    body = StrategyChange
    answers = {"GET": StrategyDocument, "PATCH": StrategyDocument}
    errors = {"GET": (StrategyUnknown,), "PATCH": (StrategyUnknown, Conflict, MayNotLoosen)}

    def check_told(self, request: Request, told: Mapping[str, Any], **kwargs: Any) -> None:
        limits_of(request).check(account=None, strategy=kwargs["pk"])

    def get(self, request: Request, pk: int) -> Response:
        limits_of(request).check(account=None, strategy=pk)
        return answered(pk)

    def patch(self, request: Request, pk: int) -> Response:
        limits_of(request).check(account=None, strategy=pk)
        values = self.told(request)
        version = values.pop("version", None) or _seen(request)
        may_loosen = may(request, LOOSEN_PERMISSION)
        strategy_change(pk, values, actor=actor_of(request), may_loosen=may_loosen, version=version)
        return answered(pk)


class SwitchEndpoint(Endpoint):
    """POST: turn it on or off; who was faster does not matter."""

    permissions = {"POST": "trading.change_strategy"}
    atomic = True
    tagged_by = "version"
    body = Body
    answers = {"POST": StrategyDocument}
    errors = (StrategyUnknown,)
    enabled = True

    def check_told(self, request: Request, told: Mapping[str, Any], **kwargs: Any) -> None:
        limits_of(request).check(account=None, strategy=kwargs["pk"])

    def post(self, request: Request, pk: int) -> Response:
        limits_of(request).check(account=None, strategy=pk)
        self.told(request)
        strategy_change(pk, {"enabled": self.enabled}, actor=actor_of(request), may_loosen=False)
        return answered(pk)


class EnableEndpoint(SwitchEndpoint):
    """POST: enable a strategy; its schedule starts cycles, and it may enter."""


class DisableEndpoint(SwitchEndpoint):
    """POST: disable a strategy; no cycle by schedule and no entry any more; its exits and stops go on."""

    enabled = False


class ResumeEndpoint(Endpoint):
    """POST: let a suspended strategy enter again; the entries of the day are counted anew.

    A control suspended it until a person looks, so no key may do this.
    """

    permissions = {"POST": RESUME_PERMISSION}
    people_only = frozenset({"POST"})
    atomic = True
    tagged_by = "version"
    body = Reason
    answers = {"POST": StrategyDocument}
    errors = (StrategyUnknown, Conflict)

    def post(self, request: Request, pk: int) -> Response:
        strategy_resume(strategy_named(pk), actor=actor_of(request), reason=self.told(request)["reason"])
        return answered(pk)


def _seen(request: Request) -> int:
    """The version in If-Match. Raises Malformed without one: what was not seen is not overwritten."""
    text = request.headers.get("If-Match", "").removeprefix("W/").strip('"')
    if not text:
        raise Malformed("Send the version that you saw, as the field version or in If-Match.", code="VERSION_MISSING")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Invalid('If-Match must be the ETag of the strategy, such as "3".', details={"field": "If-Match"})
    return int(text)


def answered(pk: int, *, status: int = 200) -> Response:
    """The strategy as it is now. Raises StrategyUnknown."""
    strategy = strategy_named(pk)
    return Response(asdict(document(strategy)), status=status, headers={"ETag": f'"{strategy.version}"'})


def document(strategy: Strategy) -> StrategyDocument:
    """The strategy as programs see it."""
    return StrategyDocument(
        id=strategy.pk,
        name=strategy.name,
        enabled=strategy.enabled,
        mode=Mode(strategy.mode),
        analyst=strategy.analyst,
        workflow=strategy.workflow_version.workflow.name,
        workflow_version=strategy.workflow_version_id,
        workflow_number=strategy.workflow_version.number,
        risk_profile=strategy.risk_profile_id,
        risk_profile_name=strategy.risk_profile.name,
        instruments=[InstrumentName(row.pk, row.symbol) for row in strategy.instruments.all()],
        parameters=strategy.parameters,
        allow_short=strategy.allow_short,
        interval_seconds=strategy.interval_seconds,
        priority=strategy.priority,
        suspended_at=strategy.suspended_at,
        suspended_reason=strategy.suspended_reason,
        resumed_at=strategy.resumed_at,
        version=strategy.version,
    )
