"""Discrepancies over REST: what differs between the broker and us, and a person's remedy with its reason."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django_filters import CharFilter, ChoiceFilter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.errors import Conflict, Invalid
from autotrader.core.rest.limits import limits_of
from autotrader.core.rest.lists import ListEndpoint
from autotrader.core.rest.serializers import Body
from autotrader.core.rest.views import Endpoint, actor_of
from trading.api.fields import flag_filter, row_id
from trading.api.filters import filters
from trading.models import Discrepancy
from trading.models.discrepancy import DiscrepancyKind
from trading.selectors.discrepancies import DiscrepancyUnknown, discrepancies_with_details, discrepancy_named
from trading.services import resolutions
from trading.services.discrepancies import PERMISSION as RESOLVE_PERMISSION
from trading.services.discrepancies import SHORTEST_REASON

STATES = ("OPEN", "RESOLVED")


@dataclass(frozen=True, slots=True)
class DiscrepancyDocument:
    """A difference; while a `blocking` one is open, its account opens no position. `remedies`: what resolves it."""

    id: int
    account: str
    kind: str
    subject: str
    state: str
    blocking: bool
    ours: str
    theirs: str
    detail: str
    symbol: str | None
    order_ref: str | None
    document: dict[str, Any]
    first_seen_at: datetime
    last_seen_at: datetime
    market_at: datetime
    resolved_at: datetime | None
    resolved_by: str
    resolution: str
    remedies: list[str]
    version: int


class Resolution(Body):
    """A remedy of those that the difference names, and why. An adjustment also needs its price and whose it was."""

    remedy = serializers.ChoiceField(choices=resolutions.REMEDIES)
    reason = serializers.CharField(
        min_length=SHORTEST_REASON, max_length=500, help_text="Kept in the audit log with your name."
    )
    version = row_id(help_text="The version that was seen.")
    price = serializers.DecimalField(
        max_digits=15,
        decimal_places=6,
        min_value=Decimal("0.000001"),
        required=False,
        help_text="Of an adjustment: at which price it was bought or sold.",
    )
    strategy = row_id(required=False, help_text="Of an adjustment: whose position it was; none: outside the desk.")


class DiscrepanciesEndpoint(ListEndpoint):
    """GET: the differences, the newest first."""

    permissions = {"GET": "trading.view_discrepancy"}
    answers = {"GET": DiscrepancyDocument}
    account_field = "account_id"
    filterset_class = filters(
        "DiscrepancyFilters",
        state=ChoiceFilter(choices=[(name, name) for name in STATES], help_text="Whether it is open."),
        kind=ChoiceFilter(choices=DiscrepancyKind.choices, help_text="What differs."),
        account=CharFilter(max_length=40, help_text="The account's id."),
        blocking=flag_filter("Whether it keeps its account from opening positions."),
    )

    def queryset(self) -> QuerySet[Discrepancy]:
        return discrepancies_with_details()

    def document(self, row: Discrepancy) -> dict[str, Any]:
        return asdict(document(row))


class DiscrepancyEndpoint(Endpoint):
    """GET: one difference."""

    permissions = {"GET": "trading.view_discrepancy"}
    answers = {"GET": DiscrepancyDocument}
    errors = (DiscrepancyUnknown,)
    etag = True

    def get(self, request: Request, pk: int) -> Response:
        row = discrepancy_named(pk)
        limits_of(request).check(account=row.account_id, strategy=None)
        return Response(asdict(document(row)))


class ResolveEndpoint(Endpoint):
    """POST: carry a remedy out and resolve; it is a person's word, so no key may give it."""

    permissions = {"POST": RESOLVE_PERMISSION}
    people_only = frozenset({"POST"})
    atomic = True
    body = Resolution
    answers = {"POST": DiscrepancyDocument}
    errors = (DiscrepancyUnknown, Conflict, Invalid)

    def post(self, request: Request, pk: int) -> Response:
        said = self.told(request)
        row = discrepancy_named(pk)
        row.version = said["version"]
        remedy = resolutions.remedy_of(said["remedy"], said["reason"], said.get("price"), said.get("strategy"))
        resolutions.resolve(row, remedy, actor=actor_of(request))
        return Response(asdict(document(discrepancy_named(pk))))


def document(row: Discrepancy) -> DiscrepancyDocument:
    """The difference as programs see it."""
    return DiscrepancyDocument(
        id=row.pk,
        account=row.account_id,
        kind=row.kind,
        subject=row.subject,
        state=row.state,
        blocking=row.blocking,
        ours=row.ours,
        theirs=row.theirs,
        detail=row.detail,
        symbol=row.instrument.symbol if row.instrument else None,
        order_ref=row.order.order_ref if row.order else None,
        document=row.document,
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        market_at=row.market_at,
        resolved_at=row.resolved_at,
        resolved_by=row.resolved_by,
        resolution=row.resolution,
        remedies=resolutions.remedies(row) if row.state == "OPEN" else [],
        version=row.version,
    )
