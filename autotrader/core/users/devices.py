"""A browser in which a person logged in before carries a cookie that says so; its failures count for it alone."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest, HttpResponseBase

LIFE = timedelta(days=365)
SALT = "autotrader.device"
_ATTRIBUTE = "login_device_cookie"


def device_of(request: HttpRequest, name: str) -> str:
    """The device's id where this browser holds the cookie of that name's digest; "" where not."""
    cookie = request.COOKIES.get(_cookie(name), "")
    try:
        owner, device = _signer().unsign(cookie, max_age=LIFE).split(".")
    except (BadSignature, ValueError):
        return ""
    return device if owner == name else ""


def remember(request: HttpRequest, name: str) -> None:
    """Let the answer to this request carry the cookie."""
    device = device_of(request, name) or secrets.token_hex(16)
    setattr(request, _ATTRIBUTE, (_cookie(name), _signer().sign(f"{name}.{device}")))


def give(request: HttpRequest, response: HttpResponseBase) -> None:
    """Set the cookie where `remember` asked for it."""
    if not (asked := getattr(request, _ATTRIBUTE, None)):
        return
    key, value = asked
    response.set_cookie(key, value, max_age=LIFE, httponly=True, samesite="Lax", secure=request.is_secure(), path="/")


def _cookie(name: str) -> str:
    return f"device_{name[:12]}"


def _signer() -> TimestampSigner:
    return TimestampSigner(salt=SALT)
