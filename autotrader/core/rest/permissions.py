"""A method of an endpoint is open to those who have the permission it names, and to nobody where it names none."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

LOGGED_IN = ""  # the name under which a method is open to every person who is logged in


class Named(BasePermission):
    """Reads the view's `permissions`: method → "app.codename", or LOGGED_IN."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user.is_authenticated:
            return False
        names: dict[str, str] = getattr(view, "permissions", {})
        name = names.get("GET" if request.method == "HEAD" else str(request.method))
        if name is None:
            # An unknown method goes on to 405; a handler that names no permission is open to nobody.
            return not hasattr(view, str(request.method).lower())
        if name != LOGGED_IN and not request.user.has_perm(name):
            raise PermissionDenied(f"This needs the permission {name}.")
        return True
