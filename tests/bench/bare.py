"""What our stack is measured against: a bare DRF view that returns the same document, under Django's own middleware."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application

DOCUMENT = "AUTOTRADER_BENCH_DOCUMENT"
MIDDLEWARE = (
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
)
DOCUMENT_PATH = os.environ.pop(DOCUMENT)
settings.ROOT_URLCONF = __name__
settings.MIDDLEWARE = list(MIDDLEWARE)
application = get_asgi_application()

from django.urls import path  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from autotrader.core.ops.lanes import Lanes, SyncSite  # noqa: E402
from autotrader.core.rest.busy import busy  # noqa: E402

# The same behind our own threads and handler.
one_step = Lanes(SyncSite(), busy)
FOUND: dict[str, Any] = json.loads(Path(DOCUMENT_PATH).read_text())


class Bare(APIView):
    """Nobody is asked who they are, nothing is looked up."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()

    def get(self, request: Any) -> Response:
        return Response(FOUND)


urlpatterns = [path("bare", Bare.as_view())]
