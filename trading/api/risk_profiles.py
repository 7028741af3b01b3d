"""Risk profiles over REST, to be read: limits are changed by a person, on their page in the admin."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import QuerySet
from django_filters import CharFilter
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.rest.limits import refuse_limited
from autotrader.core.rest.lists import ListEndpoint
from autotrader.core.rest.views import Endpoint
from trading.api.filters import filters
from trading.models import RiskProfile
from trading.selectors.settings import NotSetUp, risk_profile_named

OWN = frozenset({"id", "name", "version", "is_desk"})


@dataclass(frozen=True, slots=True)
class RiskProfileDocument:
    """The limits of a strategy, or with `is_desk` those of the whole desk; `limits` by name, as in docs/safety.md.

    Fractions are of 1, amounts in the account's base currency, both as text; null does not limit.
    """

    id: int
    name: str
    is_desk: bool
    version: int
    limits: dict[str, Any]


class RiskProfilesEndpoint(ListEndpoint):
    """GET: the risk profiles, the newest first."""

    permissions = {"GET": "trading.view_riskprofile"}
    answers = {"GET": RiskProfileDocument}
    filterset_class = filters("RiskProfileFilters", name=CharFilter(max_length=80, help_text="The whole name."))

    def queryset(self) -> QuerySet[RiskProfile]:
        return RiskProfile.objects.all()

    def document(self, row: RiskProfile) -> dict[str, Any]:
        return asdict(document(row))


class RiskProfileEndpoint(Endpoint):
    """GET: one risk profile."""

    permissions = {"GET": "trading.view_riskprofile"}
    answers = {"GET": RiskProfileDocument}
    errors = (NotSetUp,)
    etag = True

    def get(self, request: Request, pk: int) -> Response:
        refuse_limited(request)
        return Response(asdict(document(risk_profile_named(pk))))


def document(profile: RiskProfile) -> RiskProfileDocument:
    """The profile as programs see it."""
    names = [field.attname for field in profile._meta.concrete_fields if field.attname not in OWN]
    limits = {name: getattr(profile, name) for name in names}
    return RiskProfileDocument(profile.pk, profile.name, profile.is_desk, profile.version, limits)
