"""Differences in the admin: seen by those who may, resolved by POST with permission and reason, once."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from broker import types
from tests.trading.builders import ACCOUNT, CON_IDS, NOW, D, bought, deliver
from tests.trading_admin.conftest import Login
from trading.models import Discrepancy, Trade
from trading.services.overdue import overdue_raise

VIEW, RESOLVE = "trading.view_discrepancy", "trading.resolve_discrepancy"


@pytest.fixture
def differing(db: None) -> Discrepancy:
    bought()
    deliver(types.PositionMismatch(ACCOUNT, CON_IDS["AAPL"], "AAPL", D(4), D(10), NOW))
    return Discrepancy.objects.get()


def page(client: Client, row: Discrepancy) -> str:
    return client.get(reverse("admin:trading_discrepancy_change", args=[row.pk])).content.decode()


def post(client: Client, row: Discrepancy, **said: object) -> int:
    form = {"remedy": "leave", "reason": "seen by phone", "version": row.version} | said
    return client.post(reverse("admin:trading_discrepancy_resolve", args=[row.pk]), form).status_code


def test_the_page_says_what_differs_and_offers_what_can_be_done(login: Login, differing: Discrepancy) -> None:
    shown = page(login(VIEW, RESOLVE, "audit.view_event"), differing)
    for word in ("Position differs", "The broker holds 4 AAPL", "book what is missing"):
        assert word in shown
    assert f"discrepancy:{differing.pk}" in shown  # its events


def test_without_the_permission_there_is_no_form_and_no_way(login: Login, differing: Discrepancy) -> None:
    client = login(VIEW)
    assert 'name="remedy"' not in page(client, differing)
    assert post(client, differing) == 403
    differing.refresh_from_db()
    assert differing.state == "OPEN"


def test_a_person_adjusts_and_their_name_is_kept(login: Login, differing: Discrepancy) -> None:
    strategy = Trade.objects.get().strategy
    assert strategy is not None
    client = login(VIEW, RESOLVE)
    assert post(client, differing, remedy="adjust", price="97.5", strategy=strategy.pk) == 302
    differing.refresh_from_db()
    assert (differing.state, differing.resolution) == ("RESOLVED", "seen by phone")
    assert differing.resolved_by.startswith("staff")
    assert Trade.objects.get().open_quantity == 4
    assert "seen by phone" in page(client, differing)


@pytest.mark.parametrize(
    "said", [{"reason": " "}, {"reason": "no"}, {"remedy": "ended"}, {"price": "abc"}, {"strategy": "99"}]
)
def test_a_form_that_is_wrong_is_shown_again_and_changes_nothing(
    login: Login, differing: Discrepancy, said: dict[str, str]
) -> None:
    assert post(login(VIEW, RESOLVE), differing, **said) == 200
    differing.refresh_from_db()
    assert differing.state == "OPEN"


def test_what_changed_since_it_was_read_is_not_resolved(login: Login, differing: Discrepancy) -> None:
    stale = differing.version
    deliver(types.PositionMismatch(ACCOUNT, CON_IDS["AAPL"], "AAPL", D(5), D(10), NOW))
    assert post(login(VIEW, RESOLVE), differing, version=stale) == 302
    differing.refresh_from_db()
    assert differing.state == "OPEN"


def test_it_is_resolved_by_post_alone(login: Login, differing: Discrepancy) -> None:
    login(VIEW, RESOLVE).get(reverse("admin:trading_discrepancy_resolve", args=[differing.pk]))
    differing.refresh_from_db()
    assert differing.state == "OPEN"


def test_the_index_counts_what_is_open(boss: Client, differing: Discrepancy) -> None:
    assert "1 of them block entries" in boss.get(reverse("admin:index")).content.decode()


def test_the_page_of_an_order_shows_its_open_difference(boss: Client, db: None) -> None:
    entry, *_ = bought()
    type(entry).objects.filter(pk=entry.pk).update(state="UNKNOWN", sending_at=NOW)
    overdue_raise(NOW.replace(hour=23))
    shown = boss.get(reverse("admin:trading_order_change", args=[entry.pk])).content.decode()
    assert "is not proven after a minute" in shown
