"""Limits that make no sense are refused with the field's name, whoever saves them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from autotrader.core.errors import Conflict
from trading.models import RiskProfile, RiskProfileVersion
from trading.selectors.limits import desk_profile, limits_of
from trading.services.strategies import desk_profile_ensure, risk_profile_save


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_position_fraction", Decimal("99999")),
        ("max_exposure_fraction", Decimal("-5")),
        ("max_spread", Decimal("1")),
        ("max_price_deviation", Decimal("0.5")),
        ("max_quote_age_seconds", 999_999_999),
        ("min_reward_ratio", Decimal("-1")),
        ("risk_per_trade", Decimal("0.5")),
        ("max_orders_per_day", 2_000_000_000),
        ("max_order_value", Decimal("0")),
    ],
)
def test_an_absurd_limit_is_refused_by_name(db: None, field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        risk_profile_save(RiskProfile(name="slip", **{field: value}), actor="test")

    assert list(refused.value.message_dict) == [field]
    assert not RiskProfile.objects.exists()


def test_the_defaults_and_the_bounds_are_taken(db: None) -> None:
    risk_profile_save(RiskProfile(name="defaults"), actor="test")
    risk_profile_save(RiskProfile(name="bounds", max_position_fraction=1, max_orders_per_day=0), actor="test")

    assert RiskProfile.objects.count() == 2


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("max_daily_loss_reducing", {"max_daily_loss_reducing": Decimal("0.040001")}),
        ("approval_above_value", {"approval_above_value": Decimal("1000.01"), "second_approver_above_value": 1000}),
        ("price_collar", {"price_collar": Decimal("0.030001")}),
        ("price_collar", {"price_collar": Decimal("0.01"), "session_collar": Decimal("0.009")}),
        ("restricted_symbols", {"allowed_symbols": ["AAPL", 8314], "restricted_symbols": [8314]}),
        ("restricted_symbols", {"restricted_symbols": ["aapl"]}),
        ("restricted_symbols", {"restricted_symbols": "AAPL"}),
        ("allowed_symbols", {"allowed_symbols": [True]}),
        ("allowed_symbols", {"allowed_symbols": [{"symbol": "AAPL"}]}),
        ("approval_above_value", {"approval_above_value": Decimal(-1)}),
    ],
)
def test_limits_that_contradict_each_other_are_refused_by_name(db: None, field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        risk_profile_save(RiskProfile(name="slip", **changes), actor="test")

    assert field in refused.value.message_dict
    assert not RiskProfile.objects.exists()


def test_limits_may_touch_but_not_cross(db: None) -> None:
    touching = {
        "max_daily_loss_reducing": Decimal("0.04"), "approval_above_value": 1000, "second_approver_above_value": 1000,
        "price_collar": Decimal("0.03"), "allowed_symbols": ["BRK B", 756733], "restricted_symbols": ["IBM"],
    }  # fmt: skip
    risk_profile_save(RiskProfile(name="touching", **touching), actor="test")

    assert RiskProfile.objects.get().restricted_symbols == ["IBM"]


def test_each_save_keeps_what_was_and_who_changed_it(db: None) -> None:
    profile = risk_profile_save(RiskProfile(name="kept"), actor="anna")
    profile.max_order_value = Decimal(1000)
    profile.restricted_symbols = ["IBM"]
    risk_profile_save(profile, actor="ben")

    second, first = RiskProfileVersion.objects.filter(profile=profile)
    assert [(row.number, row.actor) for row in (first, second)] == [(1, "anna"), (2, "ben")]
    assert first.values["max_order_value"] == "250000"
    assert second.changed == {"max_order_value": ["250000", "1000"], "restricted_symbols": [[], ["IBM"]]}
    assert second.values["version"] == 2


def test_a_save_that_fails_leaves_no_version(db: None) -> None:
    profile = risk_profile_save(RiskProfile(name="kept"), actor="anna")
    stale = RiskProfile.objects.get(pk=profile.pk)
    risk_profile_save(profile, actor="anna")
    with pytest.raises(Conflict):
        risk_profile_save(stale, actor="ben")

    assert list(RiskProfileVersion.objects.values_list("number", flat=True)) == [2, 1]


def test_the_desk_has_limits_even_where_nobody_set_any(db: None) -> None:
    assert desk_profile().pk is None
    assert desk_profile().max_order_value == Decimal(250000)
    made = desk_profile_ensure(actor="test")
    assert desk_profile_ensure(actor="test") == made
    assert desk_profile() == limits_of(None) == made


def test_there_is_one_profile_of_the_desk(db: None) -> None:
    desk_profile_ensure(actor="test")
    with pytest.raises(ValidationError):
        risk_profile_save(RiskProfile(name="another", is_desk=True), actor="test")


def test_the_desk_is_never_left_without_its_own_limits(db: None) -> None:
    made = desk_profile_ensure(actor="test")
    made.is_desk = False
    with pytest.raises(ValidationError) as caught:
        risk_profile_save(made, actor="test")
    assert list(caught.value.message_dict) == ["is_desk"]
    assert RiskProfile.objects.get(pk=made.pk).is_desk
