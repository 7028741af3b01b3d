"""People with keys, made through the services."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Permission

from autotrader.core.clock import system_now
from autotrader.core.users.keys import Terms, key_create
from autotrader.core.users.models import ApiKey, User


def person(name: str, *permissions: str, **fields: Any) -> User:
    """Somebody with these permissions ("app.codename") and no others."""
    user = User.objects.create_user(name, password="x", **fields)
    for permission in permissions:
        app, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return user


def key_of(user: User, *scopes: str, **changes: Any) -> tuple[ApiKey, str]:
    """A key of theirs and its text; `changes` are of its terms."""
    terms = Terms(name="robot", scopes=scopes or ("read",), expires_at=system_now() + timedelta(days=1))
    return key_create(replace(terms, **changes), user=user, actor="test")


def bearer(text: str) -> dict[str, str]:
    """The header that shows the key."""
    return {"Authorization": f"Bearer {text}"}
