"""A method of an endpoint is open to those who have the permission it names, and to nobody where it names none.

A key also needs a scope that covers the permission, and is refused what only a person may do.
"""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from autotrader.core.errors import AutoTraderError
from autotrader.core.users.keys import scopes_for, scopes_of
from autotrader.core.users.models import Scope

LOGGED_IN = ""  # the name under which a method is open to every person who is logged in


class PersonNeeded(AutoTraderError):
    """Only a person may do this: log in and do it yourself."""

    code = "PERSON_NEEDED"
    status = 403


class ScopeMissing(AutoTraderError):
    """The key lacks the scope: use one that has it."""

    code = "SCOPE_MISSING"
    status = 403


class Named(BasePermission):
    """Reads the view's `permissions`: method → "app.codename", or LOGGED_IN; `people_only` are methods without keys."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user.is_authenticated:
            return False
        method = "GET" if request.method == "HEAD" else str(request.method)
        names: dict[str, str] = getattr(view, "permissions", {})
        name = names.get(method)
        if name is None:
            # An unknown method goes on to 405; a handler that names no permission is open to nobody.
            return not hasattr(view, str(request.method).lower())
        if request.auth is not None:
            _check_key(request, view, method, name)
        if name != LOGGED_IN and not request.user.has_perm(name):
            raise PermissionDenied(f"This needs the permission {name}.")
        return True


def may(request: Request, permission: str) -> bool:
    """True where the caller has the permission and, with a key, a scope covers it: for rights within an endpoint."""
    covered = request.auth is None or bool(scopes_of(request.auth) & scopes_for(permission, is_read=False))
    return covered and bool(request.user.has_perm(permission))


def only_proposes(request: Request) -> bool:
    """True for a key whose orders always wait for a person: all but those with the scope trade."""
    return request.auth is not None and Scope.TRADE not in scopes_of(request.auth)


def _check_key(request: Request, view: Any, method: str, name: str) -> None:
    if method in getattr(view, "people_only", ()):
        raise PersonNeeded("Only a person who is logged in may do this, no key.")
    needed = scopes_for(name, is_read=request.method in SAFE_METHODS)
    if not needed & scopes_of(request.auth):
        raise ScopeMissing(f"This needs a key with the scope {' or '.join(sorted(needed))}.")
