"""The tables that the lists of history draw themselves are those that Unfold would draw."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from tests.trading_admin.story import Told
from trading.admin.kit_lists import BigHistoryAdmin
from trading.admin.kit_table import TableList

LISTS = [model for model, page in admin.site._registry.items() if isinstance(page, BigHistoryAdmin)]
TABLE = re.compile(r'<table id="result_list".*?</table>', re.S)


def _table(client: Client, address: str) -> str:
    found = TABLE.findall(client.get(address).content.decode())
    return re.sub(r"\s*([<>])\s*", r"\1", " ".join(found[0].split())) if found else ""


@pytest.mark.parametrize("model", LISTS, ids=lambda model: model._meta.label)
@pytest.mark.parametrize("asked", ["", "?_popup=1", "?older=99999"])
def test_a_list_draws_what_unfold_would_draw(
    model: type, asked: str, boss: Client, bought: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") + asked
    ours = _table(boss, address)
    monkeypatch.setattr(TableList, "table_headers", ())
    assert ours == _table(boss, address)


def test_the_story_fills_most_of_the_lists(boss: Client, bought: Told) -> None:
    addresses = [reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in LISTS]
    filled = [address for address in addresses if "data-row" in _table(boss, address)]
    assert len(filled) >= len(LISTS) / 2


def test_the_rows_are_those_of_the_list_itself(boss: Client, bought: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TableList, "table_rows", lambda self: ["<td>drawn here</td>"])
    assert "drawn here" in _table(boss, reverse("admin:trading_order_changelist"))
