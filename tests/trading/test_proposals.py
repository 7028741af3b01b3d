"""The proposal: what a decision or a request comes to at the market, and what the second judgement reads anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from autotrader.core import audit
from autotrader.core.clock import system_now
from tests.trading.builders import (
    ACCOUNT,
    CON_IDS,
    NOW,
    D,
    bought,
    bracket,
    claimed,
    decided,
    instrument,
    market,
    strategy,
)
from trading.models import Decision, Instrument, OrderRequest, RiskProfile, RiskVerdict, Strategy
from trading.models.decision import DecisionState
from trading.risk.base import Proposal
from trading.risk.rules import judge
from trading.selectors.contracts import listed
from trading.selectors.ledger_rows import rows_read
from trading.selectors.limits import desk_profile
from trading.services.accounts import account_ensure
from trading.services.proposals import (
    Cause,
    Terms,
    decision_proposal,
    judge_again,
    propose,
    verdicts_document,
    verdicts_save,
)
from trading.services.strategies import risk_profile_save, strategy_save


def fresh(row: Strategy | None = None, **changes: Any) -> Decision:
    """A decision that no rule has judged yet."""
    decision = decided(claimed(row or strategy()), **changes)
    decision.state = DecisionState.PROPOSED
    return decision


def cause(**changes: Any) -> Cause:
    """A person's request for AAPL, without a strategy."""
    asked = Cause(
        account=account_ensure(ACCOUNT), strategy=None, instrument=instrument(), limits=RiskProfile(name="desk"),
        source="request", decided_at=NOW, position=D(0),
    )  # fmt: skip
    return replace(asked, **changes)


def terms(**changes: Any) -> Terms:
    asked = Terms("entry", "BUY", D(10), D(101), D(95), D(110))
    return replace(asked, **changes)


def refusals(proposal: Proposal) -> set[str]:
    return {code for verdict in judge(proposal) for code in verdict.codes}


def refusals_now(proposal: Proposal) -> set[str]:
    """What the controls say under the account's lock."""
    with audit.recording():
        account = type(account_ensure(ACCOUNT)).objects.select_for_update().get(pk=ACCOUNT)
        return {code for verdict in judge_again(proposal, account) for code in verdict.codes}


# A decision


def test_a_decision_is_sized_and_given_a_limit_at_the_collar(db: None) -> None:
    proposal, size = decision_proposal(fresh(), market())
    assert (proposal.limit_price, proposal.stop_price, proposal.target_price) == (D(101), D(95), D(110))
    assert (size.quantity, size.capped_by) == (D(166), "risk_per_trade")
    assert (proposal.reward_ratio, proposal.profit_margin) == (D(2), D("0.1"))
    assert (proposal.con_id, proposal.close, proposal.lot) == (CON_IDS["AAPL"], D(100), D(1))
    assert refusals(proposal) == set()


def test_a_decision_that_was_allowed_keeps_its_terms_and_meets_the_market_of_now(db: None) -> None:
    decision = decided(claimed(strategy()), quantity="10")
    told = market()
    assert told.quote is not None
    moved = replace(told, quote=replace(told.quote, ask=D("100.50"), bid=D("100.48")))
    proposal, _ = decision_proposal(decision, moved)
    assert (proposal.quantity, proposal.limit_price) == (D(10), D(101))
    assert proposal.reward_ratio == D("1.727273")


def test_an_analysts_prices_go_to_the_nearest_tick(db: None) -> None:
    decision = fresh()
    decision.stop_price, decision.target_price = D("95.004"), D("110.006")
    proposal, _ = decision_proposal(decision, market())
    assert (proposal.stop_price, proposal.target_price) == (D("95.00"), D("110.01"))


def test_an_exit_is_the_whole_position(db: None) -> None:
    entry, *_ = bought(quantity="10")
    decision = fresh(entry.strategy, kind="sell", position="10")
    proposal, size = decision_proposal(decision, market())
    assert (proposal.purpose, proposal.quantity, size.capped_by) == ("exit", D(10), "given")
    assert proposal.reduces
    assert proposal.limit_price == D("98.99")


@pytest.mark.parametrize(
    ("missing", "codes"),
    [
        ({"quote": None}, {"NO_QUOTE", "NO_ROOM", "BAD_NUMBER"}),
        ({"summary": None}, {"FUNDS_UNKNOWN", "EQUITY_UNKNOWN", "NO_ROOM"}),
        ({"con_id": CON_IDS["IBM"]}, {"CONTRACT_UNRESOLVED"}),
    ],
)
def test_what_the_broker_does_not_say_refuses(db: None, missing: dict[str, Any], codes: set[str]) -> None:
    proposal, _ = decision_proposal(fresh(), replace(market(), **missing))
    assert codes <= refusals(proposal)


@pytest.mark.parametrize("field", ["net_liquidation", "available_funds"])
def test_an_account_of_which_one_value_is_missing_is_not_traded(db: None, field: str) -> None:
    told = market()
    assert told.summary is not None
    changes: dict[str, Any] = {field: None}
    proposal, _ = decision_proposal(fresh(), replace(told, summary=replace(told.summary, **changes)))
    assert proposal.quantity == 0
    assert {"FUNDS_UNKNOWN", "EQUITY_UNKNOWN"} & refusals(proposal)


# A request


def test_a_requests_terms_stay_as_they_were_asked_for(db: None) -> None:
    proposal, size = propose(cause(), terms(stop_price=D("95.001"), limit_price=D("101.005")), market())
    assert (proposal.stop_price, proposal.limit_price, size.quantity) == (D("95.001"), D("101.005"), D(10))
    assert {"OFF_TICK"} <= refusals(proposal)


def test_a_request_claims_no_price_and_a_market_order_has_no_limit(db: None) -> None:
    proposal, _ = propose(cause(), terms(order_type="MKT", limit_price=None), market())
    assert proposal.limit_price is None
    assert proposal.value == D(1010)
    assert refusals(proposal) == set()


def test_the_desk_itself_sells_nothing_short(db: None) -> None:
    asked = terms(side="SELL", limit_price=D(99), stop_price=D(105), target_price=D(90))
    proposal, _ = propose(cause(), asked, market())
    assert "SHORT_NOT_ALLOWED" in refusals(proposal)


# Funds


def test_what_our_own_orders_may_still_cost_is_spent_already(db: None) -> None:
    bracket(strategy("other", symbols=("IBM",)), "IBM", quantity="150")
    proposal, _ = propose(cause(), terms(quantity=None), market(equity="20000"))
    assert proposal.ledger.reserved == D(15_150)
    assert proposal.quantity * 101 <= D(20_000) - D(15_150)
    assert "FUNDS_TOO_LOW" in refusals(replace(proposal, quantity=D(50)))


def test_what_was_bought_a_moment_ago_may_not_be_in_the_brokers_figures_yet(db: None) -> None:
    entry, *_ = bought(quantity="10")
    filled = NOW + timedelta(minutes=1)
    rows = rows_read(entry.account, entry.strategy, entry.instrument, filled, filled)
    assert rows.bought_since(filled - timedelta(seconds=1)) == D(1000)
    assert rows.bought_since(filled) == D(0)
    proposal, _ = propose(cause(), terms(), market(at=filled + timedelta(minutes=2, seconds=59)))
    assert proposal.funds_in_flight == D(1000)
    proposal, _ = propose(cause(), terms(), market(at=filled + timedelta(minutes=3)))
    assert proposal.funds_in_flight == D(0)


# Contracts


def test_a_symbol_of_two_contracts_allows_neither_and_restricts_both(db: None) -> None:
    row = instrument()
    Instrument.objects.create(symbol="AAPL", exchange="MEXI", currency="MXN", con_id=38708077)
    by_symbol = listed(RiskProfile(allowed_symbols=["AAPL"], restricted_symbols=["AAPL"]), None)
    assert (by_symbol.allowed, by_symbol.restricted) == (frozenset(), frozenset({row.con_id, 38708077}))
    by_id = listed(RiskProfile(allowed_symbols=[row.con_id]), None)
    assert by_id.allowed == {row.con_id}


def test_without_a_list_a_strategy_trades_its_own_and_the_desk_what_people_have_set_up(db: None) -> None:
    row = strategy(symbols=("AAPL",))
    instrument("IBM")
    Instrument.objects.create(symbol="IBM", sec_type="", exchange="CONID:7", con_id=7)
    Instrument.objects.create(symbol="NEW")
    assert listed(RiskProfile(), row).allowed == {CON_IDS["AAPL"]}
    assert listed(RiskProfile(), None).allowed == {CON_IDS["AAPL"], CON_IDS["IBM"]}


# Judged again


def test_nothing_has_changed_and_the_second_judgement_says_the_same(db: None) -> None:
    proposal, _ = decision_proposal(fresh(quantity="10"), market())
    assert refusals_now(proposal) == set()


def test_the_second_judgement_sees_what_another_took_meanwhile(db: None) -> None:
    mine = strategy()
    proposal, _ = decision_proposal(fresh(mine), market(equity="20000"))
    assert refusals(proposal) == set()
    bracket(strategy("other", symbols=("IBM",)), "IBM", quantity="190")
    assert {"FUNDS_TOO_LOW", "EXPOSURE_TOO_LARGE"} <= refusals_now(proposal)


def test_the_second_judgement_sees_limits_and_lists_that_were_changed(db: None) -> None:
    mine = strategy()
    proposal, _ = decision_proposal(fresh(mine), market())
    profile = RiskProfile.objects.get(pk=mine.risk_profile_id)
    profile.max_order_value, profile.restricted_symbols = D(100), ["AAPL"]
    risk_profile_save(profile, actor="test")
    assert {"VALUE_TOO_LARGE", "SYMBOL_RESTRICTED"} <= refusals_now(proposal)


def test_the_second_judgement_sees_a_strategy_that_may_no_longer_sell_short(db: None) -> None:
    mine = strategy(allow_short=True)
    proposal, _ = decision_proposal(fresh(mine, kind="sell"), market())
    assert refusals(proposal) == set()
    mine.allow_short = False
    strategy_save(mine, actor="test")
    assert "SHORT_NOT_ALLOWED" in refusals_now(proposal)


def test_the_second_judgement_sees_a_position_that_changed(db: None) -> None:
    mine = strategy()
    proposal, _ = decision_proposal(fresh(mine), market())
    bought(mine, quantity="10")
    assert "POSITION_CHANGED" in refusals_now(proposal)


def test_the_desks_own_limits_are_read_anew_too(db: None) -> None:
    proposal, _ = propose(cause(limits=desk_profile()), terms(), market())
    assert refusals_now(proposal) == set()
    risk_profile_save(RiskProfile(name="desk", is_desk=True, max_order_quantity=D(5)), actor="test")
    assert "QUANTITY_TOO_LARGE" in refusals_now(proposal)


# Verdicts


def test_every_verdict_of_a_request_is_kept(db: None) -> None:
    request = OrderRequest.objects.create(
        client="user:ann", idempotency_key="1", kind="place", body={}, body_hash="x", actor="ann", correlation_id="c",
        created_at=system_now(),
    )  # fmt: skip
    proposal, _ = propose(cause(), terms(quantity=D(20_000)), market())
    verdicts = judge(proposal)
    with audit.recording():
        verdicts_save(verdicts, request=request)
    kept = RiskVerdict.objects.filter(request=request)
    assert [row.rule for row in kept] == [verdict.rule for verdict in verdicts]
    assert {row.code for row in kept if not row.allowed} >= {"QUANTITY_TOO_LARGE"}
    assert any(row.allowed for row in kept)


def test_the_verdicts_at_sending_are_one_document(db: None) -> None:
    document = verdicts_document(judge(propose(cause(), terms(), market())[0]))
    assert document["order_size"]["allowed"] is True
    assert document["order_size"]["quantity"] == "10"


def test_both_looks_at_an_order_that_is_sized_take_few_queries(db: None) -> None:
    bought(quantity="10")
    subject = cause()
    with CaptureQueriesContext(connection) as queries:
        proposal, _ = propose(subject, terms(quantity=None), market())
        judge_again(proposal, subject.account)
    assert len(queries) <= 26
