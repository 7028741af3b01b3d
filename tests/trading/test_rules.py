"""Every risk rule allows, refuses, stands on its boundary, and refuses what it does not know."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest

from tests.trading.builders import NOW, D, proposal, short_proposal
from trading.risk.base import Proposal, Verdict
from trading.risk.rules import judge, rule_names

NAN, INFINITE = Decimal("NaN"), Decimal("Infinity")
EXIT = {"purpose": "exit", "side": "SELL", "position": D(100), "limit_price": D(99)}

ALLOWED: list[tuple[str, dict[str, Any]]] = [
    ("allow_list", {"limits": {"allowed_symbols": ["IBM", "AAPL"]}, "own_symbols": ()}),
    ("available_funds", {"available_funds": D(10_100)}),
    ("exposure", {"equity": D(50_500)}),
    ("exposure", {"exposure_total": D(89_900), "exposure_instrument": D(9_900)}),
    ("finite_prices", {"tick": D(1)}),
    ("grounding", {"claimed_price": D(101)}),
    ("grounding", {"claimed_price": D(99)}),
    ("open_orders", {"open_entries": 9}),
    ("order_size", {"quantity": D(1)}),
    ("order_size", {"quantity": D(10_000), "limits": {"max_order_value": D(1_010_000)}}),
    ("orders_per_day", {"entries_today": 9}),
    ("profit_margin", {"profit_margin": D("0.05")}),
    ("quote_age", {"quote_at": NOW - timedelta(seconds=15)}),
    ("quote_age", {"bid": D("99.5"), "ask": D("100.5"), "limits": {"max_spread": D("0.01")}}),
    ("reward_ratio", {"reward_ratio": D(1)}),
    ("short_sale", {"side": "SELL", "allow_short": True}),
    ("sides", {"stop_price": D("99.99"), "limit_price": D(100), "target_price": D("100.01")}),
    ("currency", {"currency": "EUR", "base_currency": "EUR"}),
]
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("allow_list", {"own_symbols": ("IBM",)}, "SYMBOL_NOT_ALLOWED"),
    ("allow_list", {"limits": {"allowed_symbols": ["IBM"]}}, "SYMBOL_NOT_ALLOWED"),
    ("allow_list", {"own_symbols": ()}, "SYMBOL_NOT_ALLOWED"),
    ("available_funds", {"available_funds": D("10099.99")}, "FUNDS_TOO_LOW"),
    ("available_funds", {"available_funds": D(-1)}, "FUNDS_TOO_LOW"),
    ("currency", {"currency": "EUR"}, "FX_NOT_SUPPORTED"),
    ("currency", {"currency": "", "base_currency": ""}, "FX_NOT_SUPPORTED"),
    ("exposure", {"equity": D(50_499)}, "POSITION_TOO_LARGE"),
    ("exposure", {"exposure_total": D(89_901), "exposure_instrument": D(9_900)}, "EXPOSURE_TOO_LARGE"),
    ("exposure", {"exposure_instrument": D(9_901)}, "POSITION_TOO_LARGE"),
    ("exposure", {"equity": D(0)}, "EQUITY_UNKNOWN"),
    ("finite_prices", {"limit_price": D("101.005")}, "BAD_NUMBER"),
    ("finite_prices", {"stop_price": D("94.999")}, "BAD_NUMBER"),
    ("finite_prices", {"target_price": D("110.001")}, "BAD_NUMBER"),
    ("grounding", {"claimed_price": D("101.01")}, "UNGROUNDED_PRICE"),
    ("grounding", {"claimed_price": D("98.99")}, "UNGROUNDED_PRICE"),
    ("open_orders", {"open_entries": 10}, "TOO_MANY_OPEN_ORDERS"),
    ("order_size", {"quantity": D(0)}, "NO_ROOM"),
    ("order_size", {"quantity": D(10_001)}, "QUANTITY_TOO_LARGE"),
    ("order_size", {"quantity": INFINITE}, "QUANTITY_TOO_LARGE"),
    ("order_size", {"quantity": D(2476)}, "VALUE_TOO_LARGE"),
    ("orders_per_day", {"entries_today": 10}, "TOO_MANY_ORDERS_TODAY"),
    ("profit_margin", {"profit_margin": D("0.049999")}, "MARGIN_TOO_LOW"),
    ("profit_margin", {"profit_margin": D("-0.1")}, "MARGIN_TOO_LOW"),
    ("quote_age", {"quote_at": NOW - timedelta(seconds=15, microseconds=1)}, "STALE_QUOTE"),
    ("quote_age", {"quote_at": NOW + timedelta(seconds=16)}, "STALE_QUOTE"),
    ("quote_age", {"bid": D("99.49"), "ask": D("100.5")}, "WIDE_SPREAD"),
    ("quote_age", {"bid": D("100.01"), "ask": D(100)}, "NO_QUOTE"),
    ("quote_age", {"bid": D(0)}, "NO_QUOTE"),
    ("quote_age", {"bid": D(-1)}, "NO_QUOTE"),
    ("quote_age", {"quote_at": None}, "NO_QUOTE"),
    ("reward_ratio", {"reward_ratio": D("0.999999")}, "R_TOO_LOW"),
    ("reward_ratio", {"reward_ratio": D(-2)}, "R_TOO_LOW"),
    ("short_sale", {"side": "SELL"}, "SHORT_NOT_ALLOWED"),
    ("sides", {"stop_price": D(100)}, "WRONG_SIDE"),
    ("sides", {"stop_price": D(105)}, "WRONG_SIDE"),
    ("sides", {"target_price": D(100)}, "WRONG_SIDE"),
    ("sides", {"target_price": D(101)}, "WRONG_SIDE"),
    ("sides", {"target_price": D(90), "stop_price": D(105)}, "WRONG_SIDE"),
    ("sides", {"limit_price": D("99.99")}, "WRONG_SIDE"),
]
EXIT_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"quantity": D("100.000001")}, "WOULD_INCREASE"),
    ({"side": "BUY"}, "WOULD_INCREASE"),
    ({"position": D(0)}, "WOULD_INCREASE"),
    ({"position": D(-100)}, "WOULD_INCREASE"),
]
# What each rule of an entry compares: any of it unknown, and the rule refuses.
LOOKS_AT: dict[str, tuple[str, ...]] = {
    "available_funds": ("available_funds", "limit_price"),
    "exposure": ("equity", "limit_price"),
    "finite_prices": ("price", "limit_price", "stop_price", "target_price", "quantity", "tick"),
    "grounding": ("price", "claimed_price"),
    "order_size": ("limit_price", "quantity"),
    "profit_margin": ("profit_margin",),
    "quote_age": ("bid", "ask"),
    "reward_ratio": ("reward_ratio",),
    "sides": ("price", "stop_price", "limit_price", "target_price"),
}
UNKNOWN = [
    (rule, field, value)
    for rule, fields in LOOKS_AT.items()
    for field in fields
    for value in (None, NAN, INFINITE)
    if (field, value) != ("quantity", None)
    and (rule, field) not in {("sides", "limit_price"), ("sides", "target_price")}
]


def one(name: str, given: Proposal) -> Verdict:
    (answer,) = judge(given, only=(name,))
    return answer


@pytest.mark.parametrize(("rule", "changes"), ALLOWED)
def test_a_rule_allows_up_to_its_boundary(rule: str, changes: dict[str, Any]) -> None:
    answer = one(rule, proposal(**changes))
    assert (answer.allowed, answer.code) == (True, ""), answer.message


@pytest.mark.parametrize(("rule", "changes", "code"), REFUSED)
def test_a_rule_refuses_beyond_it(rule: str, changes: dict[str, Any], code: str) -> None:
    answer = one(rule, proposal(**changes))
    assert (answer.allowed, answer.code) == (False, code), answer.message


@pytest.mark.parametrize(("rule", "field", "value"), UNKNOWN)
def test_a_rule_refuses_what_it_does_not_know(rule: str, field: str, value: Decimal | None) -> None:
    answer = one(rule, proposal(**{field: value}))
    assert not answer.allowed
    assert answer.code


@pytest.mark.parametrize("value", [None, NAN])
def test_no_order_leaves_without_its_limit_or_target(value: Decimal | None) -> None:
    for field in ("limit_price", "target_price"):
        assert not one("sides", proposal(**{field: value})).allowed


@pytest.mark.parametrize(("changes", "code"), EXIT_REFUSED)
def test_an_exit_only_reduces(changes: dict[str, Any], code: str) -> None:
    assert one("reduces", proposal(**EXIT)).allowed
    answer = one("reduces", proposal(**(EXIT | changes)))
    assert (answer.allowed, answer.code) == (False, code)


def test_a_short_position_is_closed_by_a_buy() -> None:
    closing = {"purpose": "exit", "side": "BUY", "position": D(-100)}
    assert one("reduces", proposal(**closing)).allowed
    assert not one("reduces", proposal(**(closing | {"quantity": D(101)}))).allowed


def test_a_sound_long_and_a_sound_short_pass_every_rule() -> None:
    for sound in (proposal(), short_proposal(), proposal(**EXIT)):
        assert [answer.code for answer in judge(sound) if not answer.allowed] == []


def test_a_short_is_judged_in_the_mirror() -> None:
    assert not one("sides", short_proposal(target_price=D(110), stop_price=D(95))).allowed
    assert not one("sides", short_proposal(limit_price=D("100.01"))).allowed
    assert not one("sides", short_proposal(limit_price=D(90))).allowed


def test_every_rule_speaks_under_the_name_of_its_file() -> None:
    entry = {answer.rule for answer in judge(proposal())}
    leaving = {answer.rule for answer in judge(proposal(**EXIT))}
    assert entry | leaving == set(rule_names())
    assert entry == {name for name in rule_names() if "entry" in import_module(f"trading.risk.{name}").PURPOSES}
    assert leaving == {"currency", "finite_prices", "quote_age", "reduces"}


def test_an_exit_is_not_asked_for_reward_or_bracket() -> None:
    bare = proposal(**EXIT, reward_ratio=None, profit_margin=None, target_price=None, stop_price=None)
    assert all(answer.allowed for answer in judge(bare))


def test_every_refusal_is_kept_beside_the_others() -> None:
    codes = {answer.code for answer in judge(proposal(quantity=D(0), reward_ratio=None, currency="EUR"))}
    assert {"NO_ROOM", "R_TOO_LOW", "FX_NOT_SUPPORTED", "BAD_NUMBER"} <= codes


def test_an_error_in_a_rule_refuses() -> None:
    naive = proposal(quote_at=NOW.replace(tzinfo=None))
    failed = [answer for answer in judge(naive) if answer.code == "RULE_FAILED"]
    assert [answer.rule for answer in failed] == ["quote_age"]
    assert not failed[0].allowed
    assert len(judge(naive)) == len(judge(proposal()))


def test_an_order_that_no_rule_judges_is_refused() -> None:
    (answer,) = judge(proposal(purpose="none"))
    assert (answer.allowed, answer.code) == (False, "NO_RULE")


def test_a_verdict_keeps_its_numbers_as_text() -> None:
    answer = one("reward_ratio", proposal(reward_ratio=D("1.000000")))
    assert answer.values == {"r": "1.000000", "least": "1"}
