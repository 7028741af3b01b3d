"""Cycles over REST: started once a key, watched down to the fill by one correlation id, and cancelled."""

from __future__ import annotations

import pytest

from autotrader.core.audit.models import Event
from autotrader.core.clock import system_now
from autotrader.core.rest.idempotency import LEASE
from autotrader.core.rest.models import KeptAnswer
from tests.api.asking import Asker, code_of, program, someone
from tests.desk.conftest import Desk, bars_folder, build_strategy, open_desk
from tests.desk.conftest import desk as desk
from tests.trading.builders import ACCOUNT, bracket, claimed, strategy
from trading.models import Cycle, Instrument, Order, WorkflowExecution
from trading.services.accounts import shadow_account
from trading.services.executions import execution_claim
from trading.workflow import lanes

__all__ = ["bars_folder", "desk", "open_desk"]
ALL = ("trading.view_cycle", "trading.run_cycle")


@pytest.fixture
def ann(db: None) -> Asker:
    return someone("ann", *ALL)


def test_a_cycle_is_queued_once_a_key_under_the_request_s_correlation_id(ann: Asker) -> None:
    strategy("trend", ("AAPL", "IBM"))
    body = {"strategies": ["trend"], "symbols": ["AAPL"], "dry_run": True}
    started = ann.post("cycles", body, key="one")
    told = started.json()
    assert (started.status_code, told["state"], told["trigger"], told["dry_run"]) == (202, "QUEUED", "api", True)
    assert told["correlation_id"] == started["X-Correlation-Id"]
    assert [(row["symbol"], row["state"]) for row in told["executions"]] == [("AAPL", "QUEUED")]
    assert ann.post("cycles", body, key="one").json() == told
    assert Cycle.objects.get().requested_by == "ann"
    assert code_of(ann.post("cycles", body | {"dry_run": False}, key="one")) == (409, "IDEMPOTENCY_KEY_REUSED")
    assert ann.get(f"cycles/{told['id']}").json() == told
    listed = ann.get("cycles?trigger=api&state=QUEUED").json()["results"]
    assert [row["id"] for row in listed] == [told["id"]]
    assert ann.get("cycles?to=2000-01-01").json()["results"] == []


def test_what_cannot_run_is_not_queued(ann: Asker) -> None:
    strategy("trend")
    strategy("bare", ())
    for body, code in [
        ({}, "INVALID"),
        ({"strategies": []}, "INVALID"),
        ({"strategies": ["nobody"]}, "UNKNOWN_STRATEGY"),
        ({"strategies": ["bare"]}, "STRATEGY_WITHOUT_INSTRUMENTS"),
        ({"strategies": ["trend"], "symbols": ["IBM"]}, "UNKNOWN_SYMBOL"),
        ({"strategies": ["trend"], "as_of": "2020-01-01"}, "UNKNOWN_FIELD"),
    ]:
        assert code_of(ann.post("cycles", body)) == (422, code), body
    assert not Cycle.objects.exists()


def test_a_cancel_ends_what_waits_and_names_what_was_sent(ann: Asker) -> None:
    entry = bracket(strategy("trend", ("AAPL",)))[0]
    execution = WorkflowExecution.objects.get()
    path = f"cycles/{execution.cycle_id}/cancel"
    done = ann.post(path, {"reason": "wrong day"}, key="c")
    told = done.json()
    assert (done.status_code, told["cycle"]["state"]) == (200, "CANCELLED"), told
    assert (told["ended"], told["fenced"]) == ([], [execution.pk])
    assert [row["order_ref"] for row in told["sent"]] == [entry.order_ref]
    assert [row["role"] for row in told["cycle"]["executions"][0]["orders"]] == ["entry", "stop", "target"]
    assert ann.post(path, {"reason": "wrong day"}, key="c").json() == told
    assert code_of(ann.post(path)) == (409, "CYCLE_ENDED")
    assert code_of(ann.post("cycles/999999/cancel")) == (404, "UNKNOWN_CYCLE")
    event = Event.objects.get(type="CYCLE_CANCELLED")
    assert (event.actor, done["X-Correlation-Id"] in event.document) == ("ann", True)
    assert code_of(someone("vic", "trading.view_cycle").post(path)) == (403, "NOT_ALLOWED")


def test_a_key_runs_and_sees_only_its_own(db: None) -> None:
    mine, other = strategy("mine"), strategy("other")
    robot = program("rob", *ALL, scopes=("read", "admin"), strategies=(mine.pk,))
    started = robot.post("cycles", {"strategies": ["mine"]})
    assert (started.status_code, started.json()["requested_by"]) == (202, f"rob by key {robot.prefix}")
    boss = someone("boss", *ALL)
    both = boss.post("cycles", {"strategies": ["mine", "other"]}).json()["id"]
    assert [row["id"] for row in robot.get("cycles").json()["results"]] == [started.json()["id"]]
    for answer in (
        robot.post("cycles", {"strategies": ["mine", "other"]}),
        robot.post("cycles", {"strategies": ["nobody"]}),
        robot.get(f"cycles/{both}"),
        robot.post(f"cycles/{both}/cancel"),
        program("acc", *ALL, scopes=("admin",), accounts=("DU1",)).post("cycles", {"strategies": ["mine"]}),
    ):
        assert code_of(answer) == (403, "KEY_LIMITED"), answer.json()
    assert other.executions.filter(state="CANCELLED").count() == 0
    trader = program("tim", *ALL, scopes=("trade", "read"))
    assert code_of(trader.post("cycles", {"strategies": ["mine"]})) == (403, "SCOPE_MISSING")
    assert execution_claim("work", "w1") is not None


def test_a_key_of_an_account_is_listed_no_cycle_that_has_a_part_elsewhere(db: None) -> None:
    shadowed = strategy("shadowed")
    mine, elsewhere = claimed(strategy("mine")), claimed(shadowed)
    WorkflowExecution.objects.filter(pk=elsewhere.pk).update(account=shadow_account(shadowed, "USD"))
    Cycle.objects.update(account=ACCOUNT)
    robot = program("rob", *ALL, scopes=("read",), accounts=(ACCOUNT,))
    assert [row["id"] for row in robot.get("cycles").json()["results"]] == [mine.cycle_id]
    assert robot.get(f"cycles/{mine.cycle_id}").status_code == 200
    assert code_of(robot.get(f"cycles/{elsewhere.cycle_id}")) == (403, "KEY_LIMITED")


def test_a_cycle_is_followed_to_its_fill_by_one_correlation_id(desk: Desk) -> None:
    build_strategy("mine", ["RISE"])
    ann = someone("ann", *ALL, "audit.view_event")
    started = ann.post("cycles", {"strategies": ["mine"]})
    correlation_id = started["X-Correlation-Id"]
    lanes.work("work")
    desk.market.broker.drain()
    told = ann.get(f"cycles/{started.json()['id']}").json()
    (execution,) = told["executions"]
    assert (told["state"], execution["outcome"], execution["decision"]["type"]) == ("DONE", "ordered", "buy")
    assert [step["state"] for step in execution["steps"]] == ["DONE"] * 8
    assert {order["status"] for order in execution["orders"]} == {"ACCEPTED"}
    desk.next_day()
    filled = Order.objects.get(role="entry")
    assert (filled.state, told["correlation_id"]) == ("FILLED", correlation_id)
    events = ann.get(f"history/events?correlation_id={correlation_id}&limit=500").json()["results"]
    types = {event["type"] for event in events}
    wanted = {"CYCLE_QUEUED", "EXECUTION_CLAIMED", "STEP_DONE", "DECISION_MADE", "ORDER_SENDING", "ORDER_FILLED"}
    assert wanted | {"FILL_BOOKED", "TRADE_OPENED", "CYCLE_DONE"} <= types


def test_an_instrument_is_set_up_by_the_broker_s_word(desk: Desk) -> None:
    ann = someone("ann", "trading.add_instrument", "trading.view_instrument")
    made = ann.post("instruments", {"symbol": "GAPS"}, key="one")
    row = Instrument.objects.get()
    # As it is where the process has died before the answer was kept.
    KeptAnswer.objects.update(status=0, body="", created_at=system_now() - LEASE)
    again = ann.post("instruments", {"symbol": "GAPS"}, key="one")
    assert (again.status_code, again.json()) == (201, made.json())
    assert (made.status_code, made.json()["con_id"], made.json()["id"]) == (201, row.con_id, row.pk)
    assert row.con_id is not None
    assert Event.objects.get(type="INSTRUMENT_ADDED").actor == "ann"
    again = ann.post("instruments", {"symbol": "GAPS"})
    assert (code_of(again), again.json()["error"]["details"]["id"]) == ((409, "ALREADY_THERE"), row.pk)
    unknown = ann.post("instruments", {"symbol": "NOSUCH"})
    assert (unknown.status_code, "symbol" in unknown.json()["error"]["details"]["fields"]) == (422, True)
    for body in ({}, {"symbol": "gaps"}, {"symbol": "GAPS", "sec_type": "FUT"}, {"symbol": "GAPS", "con_id": 1}):
        assert ann.post("instruments", body).status_code == 422, body
    assert Instrument.objects.count() == 1
