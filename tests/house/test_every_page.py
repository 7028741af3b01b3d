"""Every address of pages and API with one of everything there, on PostgreSQL: what else they do is tried on SQLite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from autotrader.core.rest.throttling import CALLS
from autotrader.core.users.models import User
from tests.house.matrix import ENDS_SESSION, of
from tests.house.world import World, build

pytestmark = [pytest.mark.django_db, pytest.mark.postgres, pytest.mark.timeout(600)]
WORDS = ("AAPL", "10")
FEW = 3


@pytest.fixture
def world(settings: Any, tmp_path: Path) -> World:
    settings.AUTOTRADER_STATE_DIR = tmp_path
    return build()


@pytest.fixture
def boss(world: World) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password="x"))
    return client


def test_every_address_is_answered(world: World, boss: Client) -> None:
    """Also where nothing is there (404), where only a form may go (405), and without a broker (503)."""
    failed = []
    for area in ("pages", "admin", "api"):
        for route in of(area):
            if route.pattern not in ENDS_SESSION:
                CALLS.clear()
                answer = boss.get(route.address(world.values(route)))
                failed += [] if answer.status_code < 500 or answer.status_code == 503 else [route.pattern]
    assert failed == []


def test_every_list_of_the_admin_is_searched_and_narrowed(boss: Client) -> None:
    """By a word and a number; then by each filter's first choices."""
    failed, asked = [], 0
    for model, shown in admin.site._registry.items():
        place = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        first = boss.get(place)
        listed = first.context and first.context.get("cl")
        choices = (
            [choice for spec in listed.filter_specs for choice in list(spec.choices(listed))[:FEW]] if listed else []
        )
        queries = [f"?q={word}" for word in WORDS] if shown.search_fields else []
        for query in [*queries, *(choice["query_string"] for choice in choices if "query_string" in choice)]:
            asked += 1
            answer = boss.get(f"{place}{query}")
            failed += [] if answer.status_code < 400 else [f"{place}{query}: {answer.status_code}"]
    assert failed == []
    assert asked > 50
