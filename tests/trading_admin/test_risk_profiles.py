"""Limits in the admin: all of them on the page, contradictions named, and who changed what."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from trading.models import RiskProfile, RiskProfileVersion
from trading.services.strategies import risk_profile_save

pytestmark = pytest.mark.django_db


@pytest.fixture
def profile(db: None) -> RiskProfile:
    return risk_profile_save(RiskProfile(name="careful"), actor="anna")


def page(profile: RiskProfile) -> str:
    return reverse("admin:trading_riskprofile_change", args=[profile.pk])


def form(boss: Client, profile: RiskProfile, **changes: Any) -> dict[str, Any]:
    """The page's form as a browser would post it, with changes; a lesser one than the page's own version is stale."""
    shown = boss.get(page(profile)).context["adminform"].form.initial
    lists = {"allowed_symbols": "[]", "restricted_symbols": "[]"}
    kept = {name: value for name, value in shown.items() if value not in (None, False)}
    return kept | lists | {"seen_version": profile.version} | changes


def test_every_limit_stands_on_the_page(boss: Client, profile: RiskProfile) -> None:
    fields = boss.get(page(profile)).context["adminform"].form.fields
    limits = {field.name for field in RiskProfile._meta.fields} - {"id", "version"}
    assert set(fields) == limits


def test_a_change_is_told_with_who_made_it_and_what_was_before(boss: Client, profile: RiskProfile) -> None:
    posted = form(boss, profile, max_order_value="1000", restricted_symbols='["IBM"]')
    assert boss.post(page(profile), posted).status_code == 302
    shown = boss.get(page(profile)).content.decode()
    for words in ("boss", "anna", "max order value: 250000 → <strong>1000</strong>", "none → <strong>IBM</strong>"):
        assert words in shown


def test_limits_that_contradict_each_other_are_refused_at_their_field(boss: Client, profile: RiskProfile) -> None:
    answer = boss.post(page(profile), form(boss, profile, max_daily_loss_reducing="0.05"))
    assert answer.status_code == 200
    assert "max_daily_loss_reducing" in answer.context["adminform"].form.errors
    assert RiskProfileVersion.objects.count() == 1


def test_a_page_that_is_out_of_date_saves_nothing(boss: Client, profile: RiskProfile) -> None:
    stale = form(boss, profile, max_open_orders=1)
    risk_profile_save(profile, actor="ben")
    answer = boss.post(page(profile), stale)
    assert answer.status_code == 200
    assert "was saved meanwhile" in answer.content.decode()
    assert RiskProfile.objects.get().max_open_orders == 10


def test_the_versions_of_all_profiles_are_one_list(boss: Client, profile: RiskProfile) -> None:
    profile.max_open_orders = 3
    risk_profile_save(profile, actor="ben")
    listed = boss.get(reverse("admin:trading_riskprofileversion_changelist")).content.decode()
    assert "max open orders: 10 → 3" in listed
    assert "created" in listed
    newest = RiskProfileVersion.objects.get(number=2)
    told = boss.get(reverse("admin:trading_riskprofileversion_change", args=[newest.pk])).content.decode()
    assert "max stop outs per day" in told
    assert boss.post(reverse("admin:trading_riskprofileversion_delete", args=[newest.pk])).status_code == 403


def test_only_who_may_change_limits_changes_them(login: Any, boss: Client, profile: RiskProfile) -> None:
    posted = form(boss, profile, max_open_orders=1)
    viewer = login("trading.view_riskprofile")
    assert viewer.get(page(profile)).status_code == 200
    assert viewer.post(page(profile), posted).status_code == 403
    assert RiskProfile.objects.get().max_open_orders == 10
