"""The services behind the set-up pages."""

from __future__ import annotations

import pytest

from autotrader.core.errors import Conflict
from tests.trading_admin.story import walk
from trading.models import RiskProfile, Strategy
from trading.services.bars import bars_load, bars_store
from trading.services.demo import demo_seed
from trading.services.strategies import risk_profile_save, strategy_save

pytestmark = pytest.mark.django_db


def test_two_people_who_change_the_same_strategy() -> None:
    first, second = (Strategy.objects.get(pk=demo_seed().pk) for _ in range(2))
    first.priority, second.priority = 1, 2
    strategy_save(first, actor="anna")
    with pytest.raises(Conflict):
        strategy_save(second, actor="ben")
    assert Strategy.objects.get().priority == 1


def test_a_new_profile_begins_with_version_one() -> None:
    profile = risk_profile_save(RiskProfile(name="careful"), actor="anna")
    assert profile.version == 1
    assert risk_profile_save(profile, actor="anna").version == 2


def test_bars_come_back_as_they_were_kept() -> None:
    bars = walk("AAPL", "1 day", "2 Y", 300, 1)
    kept = bars_store(bars)
    again = bars_load(kept)
    assert bars_store(bars) == kept
    assert (again.symbol, again.as_of, again.con_id) == (bars.symbol, bars.as_of, bars.con_id)
    for name in ("time", "open", "high", "low", "close", "volume"):
        assert (getattr(again, name) == getattr(bars, name)).all()
        assert getattr(again, name).dtype == getattr(bars, name).dtype
