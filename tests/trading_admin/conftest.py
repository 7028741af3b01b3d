"""People of the desk with different rights, and the stories they read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from autotrader.core.users.models import User
from tests.trading_admin.story import Told, tell

Login = Callable[..., Client]


@pytest.fixture
def login(db: None) -> Login:
    """A client of a staff member who has the named permissions (`app.codename`), and of no one else's."""

    def make(*permissions: str) -> Client:
        user = User.objects.create_user(f"staff{User.objects.count()}", password="x", is_staff=True)
        for name in permissions:
            app, codename = name.split(".")
            user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def boss(db: None) -> Client:
    """A client of somebody who may do everything."""
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password="x"))
    return client


@pytest.fixture
def bought(db: None) -> Told:
    """A buy that was ordered and filled."""
    return tell("buy")
