"""`/health` and `/api/metrics`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError
from django.http import HttpResponse
from rest_framework.permissions import SAFE_METHODS
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.clock import system_now
from autotrader.core.ops import metrics
from autotrader.core.ops.breaker import Look, database_look
from autotrader.core.ops.health import Health, HealthSummary
from autotrader.core.rest.documents import Answer
from autotrader.core.rest.limits import refuse_limited
from autotrader.core.rest.permissions import LOGGED_IN, Named, may
from autotrader.core.rest.views import Endpoint
from autotrader.operations import parts

VIEW = "audit.view_event"
DOWN = 503
_broker = parts.Kept(parts.broker_state)
# The whole costs some questions to the database, and anybody may ask for it.
_well = parts.Kept(lambda: parts.health(database_look(), broker=_broker.get))


class OpenToAll(Named):
    """Anybody may look; every other method is judged as everywhere."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return request.method in SAFE_METHODS or super().has_permission(request, view)


class AlwaysJson(Endpoint):
    """Answers JSON whatever a caller prefers: probes and scrapers name types of their own."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        return JSONRenderer(), JSONRenderer.media_type


class HealthEndpoint(AlwaysJson):
    """GET: how the desk is. Three fields for anybody, everything for those who may view events.

    200 where it is ok or degraded, 503 where the database does not answer; the body is the same, and at most a second
    old. Without a database nobody can be told apart, so that only the three fields are left.
    """

    permission_classes = [OpenToAll]
    permissions = {"GET": LOGGED_IN}
    open_methods = frozenset({"GET"})
    answers = {"GET": Answer(Health | HealthSummary, (200, DOWN))}
    look: Look

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.look = database_look()
        if self.look.ok:
            try:
                super().initial(request, *args, **kwargs)
            except DatabaseError as error:  # it went away just now, and nobody has noticed yet
                self.look = Look(ok=False, reason=str(error).strip().partition("\n")[0], since_s=0.0)
        if not self.look.ok:
            request.user, request.auth = AnonymousUser(), None
            super().initial(request, *args, **kwargs)

    def get(self, request: Request) -> Response:
        found = _well.get() if self.look.ok else parts.health(self.look, broker=_broker.get)
        document = asdict(found) if may(request, VIEW) else asdict(found.summary())
        return Response(document, status=200 if found.db_ok else DOWN)


class MetricsEndpoint(AlwaysJson):
    """GET: the metrics of all processes and rows as Prometheus reads them, for those who may view events."""

    permissions = {"GET": VIEW}
    answers = {"GET": Answer(str, media_type="text/plain")}

    def get(self, request: Request) -> HttpResponse:
        refuse_limited(request)
        return HttpResponse(metrics.rendered(system_now()), content_type=metrics.CONTENT_TYPE)
