"""What a login adds to its answer: the cookie of a known device, or the page that says when to try again."""

from __future__ import annotations

import math

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin

from autotrader.core.clock import system_now
from autotrader.core.users import devices
from autotrader.core.users.logins import LoginLocked


class LoginMiddleware(MiddlewareMixin):
    """Works for every page on which a password is checked."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        devices.give(request, response)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, LoginLocked):
            return None
        answer = render(request, "429.html", {"message": exception.message}, status=exception.status)
        answer["Retry-After"] = str(max(1, math.ceil((exception.until - system_now()).total_seconds())))
        return answer
