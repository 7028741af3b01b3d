"""The addresses below /api/; whatever stands here not is answered 404 in the envelope."""

from __future__ import annotations

from django.urls import re_path

from autotrader.core.rest.views import UnknownEndpoint

urlpatterns = [
    re_path(r"^", UnknownEndpoint.as_view()),
]
