"""Who asks: the owner of an API key, or the person of the session, whose unsafe requests carry the CSRF token."""

from __future__ import annotations

from typing import Any

from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from autotrader.core.rest.throttling import SESSION_PER_MINUTE, TooMany, count_call
from autotrader.core.users.addresses import address_of
from autotrader.core.users.key_ring import find_key
from autotrader.core.users.keys import prefix_of, shown_key
from autotrader.core.users.models import ApiKey, User

CHALLENGE = 'Bearer realm="AutoTrader"'
# One sentence for forged, expired, revoked and disabled: which of them it is would help nobody honest.
REFUSED = "This API key opens nothing: it is unknown, expired or revoked, or its owner is disabled."


class KeyLogin(BaseAuthentication):
    """`Authorization: Bearer at_…` or `X-API-Key: at_…`; where a key is shown, nothing else logs in."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        """The owner and the key; raises AuthenticationFailed, or TooMany where it is asked too often."""
        text = shown_key(request.headers.get("Authorization", ""), request.headers.get("X-API-Key", ""))
        if text is None:
            return None
        # For the log: which key it was, without its secret.
        request._request.key_prefix = prefix_of(text)  # type: ignore[attr-defined]
        found = find_key(text, address_of(request.META))
        if found.wait_s:
            raise TooMany(found.wait_s)
        if found.key is None:
            raise AuthenticationFailed(REFUSED)
        count_call(f"key:{found.key.pk}", found.key.requests_per_minute)
        return found.key.user, found.key

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class SessionLogin(SessionAuthentication):
    """The login of the pages."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        """The person of the session; raises PermissionDenied without the CSRF token, TooMany where too often."""
        found = super().authenticate(request)
        if found is None:
            return None
        count_call(f"user:{found[0].pk}", SESSION_PER_MINUTE)
        return found[0], None
