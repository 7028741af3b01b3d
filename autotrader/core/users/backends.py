"""The password check of every login, behind the limits of `logins`."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from autotrader.core.clock import system_now
from autotrader.core.users import devices, logins
from autotrader.core.users.addresses import address_of, place_of
from autotrader.core.users.models import User


class GuardedLogin(ModelBackend):
    """Django's check of name and password, made only while the limits allow it."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """The person, or None. Raises LoginLocked without a look at the password."""
        if username is None or password is None:
            return None
        place = place_of(address_of(request.META)) if request else ""
        guess = guess_of(request, username, place)
        claimed = logins.claim(guess, system_now())
        user = super().authenticate(request, username=username, password=password, **kwargs)
        if user is None:
            logins.failed(claimed, username, system_now())
            return None
        logins.succeeded(claimed, user, place, system_now())
        if request is not None:
            devices.remember(request, guess.name)
        return user


def guess_of(request: HttpRequest | None, username: str, place: str) -> logins.Guess:
    """Whose failures this one is counted with; the same queries for names that exist and others."""
    name = logins.name_digest(username)
    device = devices.device_of(request, name) if request else ""
    is_known = logins.is_known(username, place)
    if device:
        return logins.Guess(name, f"device:{device}", is_known=True, is_own=True)
    return logins.Guess(name, place, is_known=is_known)
