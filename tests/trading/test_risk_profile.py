"""Limits that make no sense are refused with the field's name, whoever saves them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from trading.models import RiskProfile
from trading.services.strategies import risk_profile_save


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
