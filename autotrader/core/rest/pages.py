"""The API's own description: the OpenAPI document, and a page that shows it from this host's files alone."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.request import Request

from autotrader.core.rest.permissions import LOGGED_IN
from autotrader.core.rest.views import Endpoint


class SchemaEndpoint(Endpoint):
    """GET: this document, OpenAPI 3.0; the same for everybody."""

    permissions = {"GET": LOGGED_IN}
    answers = {"GET": dict[str, Any]}
    etag = True

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(written(), content_type="application/json")


class DocsPage(LoginRequiredMixin, SpectacularSwaggerSplitView):
    """The document as a page on which each operation can be tried with one's own login."""

    permission_classes = ()
    url_name = "api_schema"
    title = "AutoTrader API"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # Its template would be asked to render the refusal.
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        answered: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return answered


def document() -> dict[str, Any]:
    """The OpenAPI document of every route, made anew."""
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return found


@cache
def written() -> bytes:
    """The document as it is served; made once a process, since nothing in it changes."""
    rendered: bytes = OpenApiJsonRenderer().render(document(), renderer_context={})
    return rendered
