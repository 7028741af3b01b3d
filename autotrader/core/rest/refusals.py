"""One line of the log for each request that was not let in: who, by which key, where, and why."""

from __future__ import annotations

import logging

from rest_framework.request import Request

from autotrader.core.ops.correlation import route_of
from autotrader.core.users.addresses import address_of

logger = logging.getLogger(__name__)
ABOUT_ACCESS = frozenset({401, 403, 429})


def log_refusal(request: Request, status: int, code: str) -> None:
    """Write the line where the refusal concerns access; other errors are the client's own affair."""
    if status not in ABOUT_ACCESS:
        return
    logger.warning(
        "access refused",
        extra={
            "status": status,
            "code": code,
            "user": request.user.get_username(),
            "key": getattr(request._request, "key_prefix", ""),
            "method": request.method,
            "route": route_of(request._request),
            "address": address_of(request.META),
        },
    )
