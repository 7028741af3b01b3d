"""Making a decision: what an opinion means for what is held, R and margin with the right sign, nothing taken over."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader.core import audit
from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.errors import Conflict
from tests.trading.builders import ACCOUNT, D, claimed, decided, facts, opinion, proposal, quote, strategy
from trading.models import Decision, RiskVerdict
from trading.models.decision import Purpose
from trading.risk.rules import judge
from trading.services.decisions import Reward, decision_judge, decision_make, decision_refuse, purpose_of, reward

PRICES = st.decimals("0.01", 10_000, places=2)


@pytest.mark.parametrize(
    ("side", "price", "target", "stop", "ratio", "margin"),
    [
        ("BUY", "100", "110", "95", "2", "0.1"),
        ("SELL", "100", "90", "105", "2", "0.1"),
        ("BUY", "100", "90", "95", "-2", "-0.1"),
        ("SELL", "100", "110", "105", "-2", "-0.1"),
        ("BUY", "100", "110", "100", None, "0.1"),
        ("BUY", "100", "110", "105", None, "0.1"),
        ("SELL", "100", "90", "95", None, "0.1"),
    ],
)
def test_a_sound_trade_has_a_positive_reward(
    side: str, price: str, target: str, stop: str, ratio: str | None, margin: str
) -> None:
    expected = Reward(None if ratio is None else D(ratio), D(margin))
    assert reward(side, D(price), D(target), D(stop)) == expected


@pytest.mark.parametrize("value", [None, Decimal("NaN"), Decimal("Infinity")])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_no_reward_is_made_of_what_is_unknown(value: Decimal | None, place: int) -> None:
    prices: list[Decimal | None] = [D(100), D(110), D(95)]
    prices[place] = value
    assert reward("BUY", *prices) == Reward(None, None)


@pytest.mark.parametrize("price", ["0", "-1"])
def test_a_price_of_nothing_has_no_reward(price: str) -> None:
    assert reward("BUY", D(price), D(110), D(95)) == Reward(None, None)


@given(price=PRICES, target=PRICES, stop=PRICES)
def test_only_the_right_side_passes_the_rules(price: Decimal, target: Decimal, stop: Decimal) -> None:
    gained = reward("BUY", price, target, stop)
    sound = (gained.ratio or D(0)) > 0 and (gained.margin or D(0)) > 0
    assert sound == (stop < price < target) or (gained.ratio == 0 or gained.margin == 0)
    mirrored = reward("SELL", price, target, stop)
    assert mirrored.margin is not None
    assert gained.margin == -mirrored.margin


PURPOSES: list[tuple[str, str, bool, bool, bool, Purpose, str]] = [
    # opinion, held, allow_short, entry working, allow_add, purpose, reason
    ("hold", "0", True, False, True, Purpose.NONE, "hold"),
    ("hold", "10", True, True, True, Purpose.NONE, "hold"),
    ("buy", "0", False, False, False, Purpose.ENTRY, ""),
    ("buy", "0", False, True, True, Purpose.NONE, "entry_working"),
    ("buy", "10", False, False, False, Purpose.NONE, "already_held"),
    ("buy", "10", False, False, True, Purpose.ENTRY, ""),
    ("buy", "10", False, True, True, Purpose.NONE, "entry_working"),
    ("buy", "-10", False, False, False, Purpose.EXIT, ""),
    ("buy", "-10", True, True, False, Purpose.EXIT, ""),
    ("sell", "0", False, False, False, Purpose.NONE, "nothing_to_sell"),
    ("sell", "0", True, False, False, Purpose.ENTRY, ""),
    ("sell", "0", True, True, False, Purpose.NONE, "entry_working"),
    ("sell", "10", False, False, False, Purpose.EXIT, ""),
    ("sell", "10", True, True, True, Purpose.EXIT, ""),
    ("sell", "-10", True, False, False, Purpose.NONE, "already_held"),
    ("sell", "-10", True, False, True, Purpose.ENTRY, ""),
    ("sell", "-10", False, False, True, Purpose.NONE, "nothing_to_sell"),
    ("strong buy", "0", True, False, True, Purpose.NONE, "hold"),
    ("", "10", True, False, True, Purpose.NONE, "hold"),
]


@pytest.mark.parametrize(("said", "held", "short", "working", "add", "purpose", "reason"), PURPOSES)
def test_what_an_opinion_means(
    said: str, held: str, short: bool, working: bool, add: bool, purpose: Purpose, reason: str
) -> None:
    known = facts(held, entry_working=working, allow_add=add)
    assert purpose_of(said, known, allow_short=short) == (purpose, reason)


def test_the_desk_recomputes_what_the_analyst_says(db: None) -> None:
    execution = claimed(strategy())
    with audit.recording():
        decision = decision_make(
            execution, opinion(r_coefficient=D(-9), profit_margin=D("-0.9")), facts(quote=quote("99.98", "100.00"))
        )
    decision.refresh_from_db()
    assert (decision.price, decision.reward_ratio, decision.profit_margin) == (D(100), D(2), D("0.1"))
    assert (decision.claimed_reward_ratio, decision.claimed_profit_margin) == (-9.0, -0.9)
    assert (decision.account_id, decision.state, decision.purpose) == (ACCOUNT, "PROPOSED", "entry")
    event = Event.objects.get(type="DECISION_MADE")
    assert event.correlation_id
    assert verify_chain().ok


@pytest.mark.parametrize("price", ["NaN", "Infinity", "-Infinity", "1e8", "-1e9", "1e400"])
def test_a_price_that_the_table_cannot_hold_is_none(db: None, price: str) -> None:
    bad = D(price)
    execution = claimed(strategy())
    with audit.recording():
        decision = decision_make(
            execution,
            opinion(current_price=bad, target_price=bad, stop_loss=bad, r_coefficient=bad, profit_margin=bad),
            facts(),
        )
    decision.refresh_from_db()
    assert (decision.claimed_price, decision.target_price, decision.stop_price) == (None, None, None)
    assert (decision.reward_ratio, decision.profit_margin) == (None, None)
    assert not all(
        verdict.allowed for verdict in judge(proposal(target_price=None, stop_price=None, claimed_price=None))
    )


def test_long_names_fit_the_table(db: None) -> None:
    long = "x" * 300
    with audit.recording():
        decision = decision_make(claimed(strategy()), opinion(decided_by=long, strategy_used=long), facts())
    assert len(Decision.objects.get(pk=decision.pk).decided_by) == 80


def test_a_hold_has_its_reason_and_no_reward(db: None) -> None:
    with audit.recording():
        decision = decision_make(claimed(strategy()), opinion("hold", reason="schema_invalid"), facts())
    assert (decision.state, decision.purpose, decision.reasons) == ("HOLD", "none", ["schema_invalid"])
    assert (decision.reward_ratio, decision.profit_margin) == (None, None)


def test_computing_a_decision_leaves_nothing(db: None) -> None:
    decision_make(claimed(strategy()), opinion(), facts(), save=False)
    assert not Decision.objects.exists()
    assert not Event.objects.filter(type="DECISION_MADE").exists()


def test_every_word_of_the_rules_is_kept(db: None) -> None:
    execution = claimed(strategy())
    verdicts = judge(proposal(reward_ratio=D("0.5"), quantity=D(0)))
    with audit.recording():
        decision = decision_make(execution, opinion(), facts())
        decision_judge(decision, verdicts, quantity=D(0), limit_price=None)
    decision.refresh_from_db()
    assert decision.state == "REFUSED"
    assert decision.reasons == [verdict.code for verdict in verdicts if not verdict.allowed]
    assert RiskVerdict.objects.filter(decision=decision).count() == len(verdicts)
    assert Event.objects.filter(type="DECISION_REFUSED").count() == 1
    assert verify_chain().ok


def test_a_refusal_after_the_rules_is_added(db: None) -> None:
    decision = decided(claimed(strategy()))
    stale = Decision.objects.get(pk=decision.pk)
    with audit.recording():
        decision_refuse(decision, "HALTED", "halted")
    assert (decision.state, decision.reasons) == ("REFUSED", ["HALTED"])
    with pytest.raises(Conflict), audit.recording():
        decision_refuse(stale, "HALTED", "halted")


def test_an_execution_decides_once(db: None) -> None:
    from django.db import IntegrityError

    execution = claimed(strategy())
    decided(execution)
    with pytest.raises(IntegrityError), audit.recording():
        decision_make(execution, opinion(), facts())
