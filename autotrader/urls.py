"""The URL map."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from autotrader.core.rest.pages import DocsPage, SchemaEndpoint
from autotrader.operations import spending
from autotrader.operations.views import HealthEndpoint, MetricsEndpoint

handler400 = "autotrader.core.rest.handlers.bad_request"
handler403 = "autotrader.core.rest.handlers.forbidden"
handler500 = "autotrader.core.rest.handlers.server_error"
spending.tell()
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="desk")),
    path("admin/", admin.site.urls),
    path("api/schema", SchemaEndpoint.as_view(), name="api_schema"),
    path("api/docs", DocsPage.as_view(), name="api_docs"),
    path("health", HealthEndpoint.as_view(), name="health"),
    path("api/health", HealthEndpoint.as_view(), name="api_health"),
    path("api/metrics", MetricsEndpoint.as_view(), name="api_metrics"),
    path("api/", include("trading.api.urls")),
    # Last, so that no program's request is compared with every page's address.
    path("", include("trading.web.urls")),
]
