"""Every risk rule allows, refuses, stands on its boundary, and refuses what it does not know; by one table of cases."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.builders import NOW, D, proposal, short_proposal
from tests.trading.order_rule_cases import EXIT, INFINITE, MARKET, NAN, STOP
from tests.trading.rule_cases import Change, all_cases
from trading.risk.base import Proposal, Verdict
from trading.risk.rules import controls, judge, rule_names
from trading.selectors.ledger import ApprovalFacts, Ledger

TABLE = all_cases()
ALLOWED = [(table.rule, change) for table in TABLE for change in table.allows]
ALLOWED += [(table.rule, at) for table in TABLE for at, _, _ in table.boundary]
REFUSED = [(table.rule, change, code) for table in TABLE for change, code in table.refuses]
REFUSED += [(table.rule, past, code) for table in TABLE for _, past, code in table.boundary]
REFUSED += [(table.rule, change, code) for table in TABLE for change, code in table.fails_closed]


def one(name: str, given: Proposal) -> Verdict:
    (answer,) = judge(given, only=(name,))
    return answer


@pytest.mark.parametrize(("rule", "changes"), ALLOWED)
def test_a_rule_allows_up_to_its_boundary(rule: str, changes: Change) -> None:
    answer = one(rule, proposal(**changes))
    assert (answer.allowed, answer.code) == (True, ""), answer.message


@pytest.mark.parametrize(("rule", "changes", "code"), REFUSED)
def test_a_rule_refuses_beyond_it_and_what_it_does_not_know(rule: str, changes: Change, code: str) -> None:
    answer = one(rule, proposal(**changes))
    assert not answer.allowed, answer
    assert code in answer.codes, answer


def test_every_rule_stands_in_the_table_with_all_four_kinds_of_cases() -> None:
    assert sorted(table.rule for table in TABLE) == sorted(rule_names())
    for table in TABLE:
        kinds = {"allows": table.allows, "refuses": table.refuses, "boundary": table.boundary,
                 "fails_closed": table.fails_closed}  # fmt: skip
        assert [name for name, cases in kinds.items() if not cases] == [], table.rule


def test_every_rule_names_its_control_and_the_orders_it_judges() -> None:
    for name in rule_names():
        rule = import_module(f"trading.risk.{name}")
        assert (rule.__doc__ or "").startswith(f"{rule.CONTROL}: "), name
        assert set(rule.PURPOSES) <= {"entry", "exit", "change"}
        assert rule.PURPOSES, name


def test_each_control_is_one_file_and_they_are_judged_in_their_order() -> None:
    numbers = [int(control[1:]) for control in controls().values()]
    assert numbers == sorted(set(numbers))
    assert [answer.rule for answer in judge(proposal())] == [
        name for name in rule_names() if "entry" in import_module(f"trading.risk.{name}").PURPOSES
    ]


SOUND: list[Change] = [{}, MARKET, EXIT, EXIT | MARKET, STOP, {"purpose": "change", "role": "entry"}]


@pytest.mark.parametrize("changes", SOUND)
def test_a_sound_order_passes_every_rule(changes: Change) -> None:
    assert [answer for answer in judge(proposal(**changes)) if not answer.allowed] == []


def test_a_sound_short_passes_every_rule() -> None:
    assert [answer for answer in judge(short_proposal()) if not answer.allowed] == []


def test_an_exit_is_not_asked_for_reward_or_bracket() -> None:
    bare = proposal(**EXIT, reward_ratio=None, profit_margin=None, target_price=None, stop_price=None)
    assert all(answer.allowed for answer in judge(bare))


def test_a_crash_traps_nobody_in_a_position() -> None:
    fallen = {"bid": D("49.99"), "ask": D(50), "price": D("49.99"), "limit_price": D("49.5"), "close": D(100)}
    assert all(answer.allowed for answer in judge(proposal(**(EXIT | fallen))))


def test_every_refusal_is_kept_beside_the_others() -> None:
    answers = judge(proposal(quantity=D(0), reward_ratio=None, currency="EUR"))
    refused = {code for answer in answers for code in answer.codes}
    assert {"NO_ROOM", "R_TOO_LOW", "FX_NOT_SUPPORTED", "BAD_NUMBER"} <= refused


def test_two_findings_of_one_rule_are_both_told() -> None:
    answer = one("decision_freshness", proposal(reward_ratio=D("0.5"), profit_margin=D("0.01")))
    assert (answer.code, answer.values["codes"]) == ("R_TOO_LOW", "R_TOO_LOW, MARGIN_TOO_LOW")
    assert "; " in answer.message


def test_an_error_in_a_rule_refuses_and_the_others_are_asked_all_the_same() -> None:
    naive = proposal(quote_at=NOW.replace(tzinfo=None))
    failed = {answer.rule for answer in judge(naive) if answer.code == "RULE_FAILED"}
    assert {"market_quote", "price_collar"} <= failed
    assert len(judge(naive)) == len(judge(proposal()))


def test_an_order_that_no_rule_judges_is_refused() -> None:
    (answer,) = judge(proposal(purpose="none"))
    assert (answer.allowed, answer.code) == (False, "NO_RULE")


def test_a_verdict_keeps_its_numbers_as_text() -> None:
    answer = one("order_size", proposal(quantity=D("1.000000")))
    assert (answer.values["quantity"], answer.values["most_quantity"]) == ("1.000000", "10000")


def test_a_verdict_tells_numbers_as_people_write_them_and_the_limit_they_broke() -> None:
    size = one("order_size", proposal(quantity=D("20000.000000")))
    assert size.message == "20000 is more than 10000"
    wrong = one("protective_bracket", proposal(stop_price=D("195.000000")))
    assert wrong.message.startswith("a buy needs 195 <")
    position = one("position_limits", proposal(equity=D(1000)))
    assert "at most 200.00 may be" in position.message


def test_what_a_person_has_approved_is_as_fresh_as_the_approval() -> None:
    old = proposal(decided_at=NOW - timedelta(minutes=9))
    assert one("decision_freshness", old).code == "STALE_DECISION"
    given = ApprovalFacts("APPROVED", "x", "x", NOW + timedelta(minutes=1), votes=1, needed=1)
    approved = replace(old, ledger=replace(old.ledger, approval=given))
    assert one("decision_freshness", approved).allowed


# Numbers


def _decimals_of(part: type) -> list[str]:
    return [field.name for field in fields(part) if "Decimal" in str(field.type)]


PLACES = [("", name) for name in _decimals_of(Proposal)] + [("ledger", name) for name in _decimals_of(Ledger)]
MAY_BE_NEGATIVE = {"position", "available_funds", "equity", "reward_ratio", "profit_margin"}


@given(
    place=st.sampled_from(PLACES),
    value=st.sampled_from([NAN, INFINITE, -INFINITE, Decimal("sNaN")]) | st.decimals(max_value=-1, allow_nan=False),
    base=st.sampled_from([{}, EXIT, EXIT | MARKET]),
)
def test_no_order_passes_with_a_corrupt_number_anywhere(place: tuple[str, str], value: Decimal, base: Any) -> None:
    part, name = place
    if base and name in MAY_BE_NEGATIVE and value.is_finite():
        return  # an exit leaves an account in debt, and a short position, all the same
    changes = dict(base) | ({"ledger": {**_ledger_of(base), name: value}} if part else {name: value})
    changes.pop("held", None) if part else None
    assert not all(answer.allowed for answer in judge(proposal(**changes))), (name, value)


def _ledger_of(base: Change) -> dict[str, Any]:
    return {"position": base["held"]} if "held" in base else {}


@pytest.mark.parametrize("years", [-15, 0, 10])
def test_ages_are_measured_on_the_markets_clock(years: int) -> None:
    now = NOW.replace(year=NOW.year + years)
    replayed = {"market_now": now, "quote_at": now, "decided_at": now, "day_began": now}
    assert all(answer.allowed for answer in judge(proposal(**replayed)))
    late = proposal(**(replayed | {"market_now": now + timedelta(seconds=301)}))
    refused = {code for answer in judge(late) for code in answer.codes if not answer.allowed}
    assert {"STALE_QUOTE", "STALE_DECISION"} <= refused
