"""The limits in force where no strategy brings its own."""

from __future__ import annotations

from trading.models import RiskProfile, Strategy


def desk_profile() -> RiskProfile:
    """The desk's own limits; the defaults, unsaved, where nobody has set any."""
    return RiskProfile.objects.filter(is_desk=True).first() or RiskProfile(name="desk", is_desk=True)


def limits_of(strategy: Strategy | None) -> RiskProfile:
    """The strategy's limits, or the desk's for an order without one."""
    return strategy.risk_profile if strategy is not None else desk_profile()
