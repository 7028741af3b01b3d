"""The pages of cycles and executions: how far each is, what came of it, who may look, and who may cancel."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from autotrader.core import audit
from autotrader.core.clock import system_now
from autotrader.core.users.models import User
from tests.trading.builders import bracket, claimed, published, strategy
from tests.trading_admin.story import tell
from trading.models import Cycle, WorkflowExecution
from trading.selectors.pages.cycles import PAGE, cycle_work, cycles_page, small_values, where
from trading.services.cycles import cycle_fail, cycle_queue
from trading.services.executions import StepRecord, execution_claim, execution_end, execution_wait, step_commit

pytestmark = pytest.mark.django_db
CYCLE, EXECUTION, RUN, EVENT = (
    "trading.view_cycle",
    "trading.view_workflowexecution",
    "trading.run_cycle",
    "audit.view_event",
)
STEPS = [{"name": "check_session"}, {"name": "fetch_data"}, {"name": "decide"}]
EVIL = "<script>alert(1)</script>"


def person(*permissions: str, staff: bool = False) -> Client:
    """A client of somebody with these permissions, and no others."""
    user = User.objects.create_user(f"p{User.objects.count()}", password="x", is_staff=staff)
    for name in permissions:
        app, codename = name.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    return client


def shown(client: Client, name: str, *args: int, **query: int) -> str:
    """The page of that name, which must be there."""
    answer = client.get(reverse(name, args=args), query)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def queries(client: Client, name: str, *args: int) -> int:
    """How many queries the page takes the second time."""
    shown(client, name, *args)
    with CaptureQueriesContext(
        connection,
    ) as caught:
        shown(client, name, *args)
    return len(caught)


def queued(symbols: tuple[str, ...] = ("AAPL", "SPY"), name: str = "s") -> Cycle:
    row = strategy(name, symbols, workflow_version=published(STEPS, f"steps of {name}"))
    return cycle_queue(strategies=[row], trigger="manual", actor="ann", lane="test", wake=False)


def stepped(execution: WorkflowExecution, count: int = 1, **output: object) -> None:
    """Commit its next steps."""
    names = [step["name"] for step in execution.workflow_version.steps]
    with audit.recording():
        for index in range(execution.next_step, execution.next_step + count):
            step_commit(execution, StepRecord(index, names[index], {}, output or {"n": index}, system_now()))


# Who may look


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("cycles", CYCLE), ("cycles_now", CYCLE), ("cycle", CYCLE), ("cycle_now", CYCLE), ("cycle_cancel", CYCLE),
        ("execution", EXECUTION), ("execution_now", EXECUTION),
    ],
)  # fmt: skip
def test_only_who_may_look_sees_it(name: str, wanted: str) -> None:
    execution = claimed(strategy())
    pk = execution.pk if "execution" in name else execution.cycle_id
    address = reverse(name, args=[] if "cycles" in name else [pk])
    assert Client().get(address)["Location"].startswith(reverse("login"))
    assert person("trading.view_order").get(address).status_code == 403
    assert person(wanted).get(address).status_code == 200
    assert person(wanted).delete(address).status_code == 405


@pytest.mark.parametrize("name", ["cycle", "cycle_now", "cycle_cancel", "execution", "execution_now"])
def test_what_is_not_there_is_not_found(name: str) -> None:
    assert person(CYCLE, EXECUTION).get(reverse(name, args=[10**17])).status_code == 404


# The list


def test_an_empty_list_says_what_to_do_next() -> None:
    assert "No cycle has run yet." in shown(person(CYCLE), "cycles")
    assert reverse("strategies") in shown(person(CYCLE, "trading.view_strategy"), "cycles")


def test_the_list_says_how_far_each_is_and_what_came_of_it() -> None:
    told = tell("buy")
    cycle = queued()
    page = shown(person(CYCLE), "cycles")
    assert f"Cycle {cycle.pk}" in page
    assert "Manual, by ann" in page
    assert "0 of 2 ended" in page
    assert "1 of 1" in page
    assert "ordered</span> 1" in page
    assert reverse("cycle", args=[told.execution.cycle_id]) in page
    assert 'data-panel="cycles executions"' in page


def test_older_cycles_stand_on_the_next_page() -> None:
    row = strategy()
    made = [
        cycle_queue(strategies=[row], trigger="manual", actor="ann", lane="test", wake=False) for _ in range(PAGE + 2)
    ]
    client = person(CYCLE)
    first = cycles_page()
    assert [line.cycle.pk for line in first.lines] == [cycle.pk for cycle in reversed(made[2:])]
    assert f"?before={made[2].pk}" in shown(client, "cycles")
    older = shown(client, "cycles", before=made[2].pk)
    assert f"Cycle {made[0].pk}</a>" in older
    assert f"Cycle {made[2].pk}</a>" not in older
    assert "data-panel" not in older.split("<main", 1)[1]
    assert "no older cycles" in shown(client, "cycles", before=made[0].pk)


@pytest.mark.parametrize("before", ["x", "-1", "9" * 40, "٣", ""])
def test_an_odd_place_is_the_newest(before: str) -> None:
    assert person(CYCLE).get(reverse("cycles"), {"before": before}).status_code == 200


# One cycle


def test_a_running_cycle_shows_each_symbol_at_its_step() -> None:
    cycle = queued()
    execution = execution_claim("test", "worker-1", cycle.pk)
    assert execution is not None
    client = person(CYCLE)
    before = shown(client, "cycle_now", cycle.pk)
    total = len(execution.workflow_version.steps)
    names = [step["name"].replace("_", " ") for step in execution.workflow_version.steps]
    assert f"step 1 of {total}: {names[0]}" in before
    assert f"waits for a worker; {total} steps" in before
    stepped(execution)
    after = shown(client, "cycle_now", cycle.pk)
    assert f"step 2 of {total}: {names[1]}" in after
    assert 'value="1"' in after
    assert "SPY" in after
    page = shown(client, "cycle", cycle.pk)
    assert cycle.correlation_id in page
    assert f'data-about="{execution.cycle.correlation_id}" data-every="5"' in page
    assert reverse("cycle_now", args=[cycle.pk]) in page


def test_a_cycle_that_has_ended_shows_decision_orders_and_outcome() -> None:
    told = tell("buy")
    page = shown(person(CYCLE, EXECUTION), "cycle", told.execution.cycle_id)
    assert "1 of 1 ended" in page
    assert "BUY" in page
    assert "ended with step" in page
    for order in told.orders:
        assert order.order_ref in page
    assert reverse("execution", args=[told.execution.pk]) in page
    assert "data-every" not in page.split('id="cycle-now"', 1)[1].split(">", 1)[0]
    assert reverse("execution", args=[told.execution.pk]) not in shown(person(CYCLE), "cycle", told.execution.cycle_id)


def test_links_to_others_pages_only_for_who_may_open_them() -> None:
    told = tell("buy")
    assert reverse("decision", args=[told.decision.pk]) not in shown(person(CYCLE), "cycle", told.execution.cycle_id)
    page = shown(person(CYCLE, "trading.view_decision", "trading.view_order"), "cycle", told.execution.cycle_id)
    assert reverse("decision", args=[told.decision.pk]) in page
    assert reverse("order", args=[told.orders[0].order_ref]) in page


def test_a_dry_run_says_so_and_a_failed_cycle_why() -> None:
    row = strategy()
    cycle = cycle_queue(strategies=[row], trigger="api", actor="ann", lane="test", wake=False, dry_run=True)
    assert "dry run" in shown(person(CYCLE), "cycle", cycle.pk)
    cycle_fail(cycle, f"ABANDONED: {EVIL}")
    for name, args in (("cycle", [cycle.pk]), ("cycles", [])):
        page = shown(person(CYCLE), name, *args)
        assert "ABANDONED: &lt;script&gt;" in page
        assert EVIL not in page
    assert "ended before it began" in shown(person(CYCLE), "cycle", cycle.pk)


def test_a_lost_worker_is_told() -> None:
    execution = claimed(strategy())
    client = person(CYCLE, EXECUTION)
    assert "worker is lost" not in shown(client, "cycle", execution.cycle_id)
    WorkflowExecution.objects.filter(pk=execution.pk).update(lease_until=system_now() - timedelta(minutes=1))
    assert "worker is lost" in shown(client, "cycle", execution.cycle_id)
    assert "worker is lost" in shown(client, "execution", execution.pk)


def test_more_work_stands_on_the_next_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trading.selectors.pages.cycles.MOST_WORK", 1)
    cycle = queued()
    first = cycle_work(cycle.pk)
    assert (len(first.work), first.line.tally.work) == (1, 2)
    assert first.more == first.work[0].execution.pk
    client = person(CYCLE)
    assert f"?after={first.more}" in shown(client, "cycle", cycle.pk)
    page = shown(client, "cycle", cycle.pk, after=first.more)
    assert "SPY" in page
    assert "From the beginning" in page


def test_the_feed_is_for_who_may_see_events() -> None:
    told = tell("hold")
    cycle = told.execution.cycle
    assert "What happened" not in shown(person(CYCLE), "cycle", cycle.pk)
    page = shown(person(CYCLE, EVENT), "cycle", cycle.pk)
    assert f'data-about="{cycle.correlation_id}"' in page
    assert page.count("data-seq") > 5


# Cancelling


def test_who_may_cancels_it_once() -> None:
    cycle = queued()
    client = person(CYCLE, RUN)
    address = reverse("cycle_cancel", args=[cycle.pk])
    assert address in shown(client, "cycle", cycle.pk)
    done = client.post(address, {"reason": "wrong day"}, follow=True)
    assert done.redirect_chain == [(reverse("cycle", args=[cycle.pk]), 302)]
    page = done.content.decode()
    assert "nothing of it was sent" in page
    assert ": wrong day" in page
    assert address not in page
    cycle.refresh_from_db()
    assert cycle.state == "CANCELLED"
    assert not client.get(address).content.strip()
    assert "has ended" in client.post(address, follow=True).content.decode()
    assert client.post(reverse("cycle_cancel", args=[10**9])).status_code == 404


def test_the_orders_that_were_sent_are_named() -> None:
    entry = bracket()[0]
    assert entry.decision is not None
    address = reverse("cycle_cancel", args=[entry.decision.execution.cycle_id])
    assert f"left as they are: {entry.order_ref}" in person(CYCLE, RUN).post(address, follow=True).content.decode()


def test_who_may_not_cancel_has_no_button() -> None:
    cycle = queued()
    client = person(CYCLE)
    address = reverse("cycle_cancel", args=[cycle.pk])
    assert address not in shown(client, "cycle", cycle.pk)
    assert client.post(address).status_code == 403
    guarded = Client(enforce_csrf_checks=True)
    guarded.force_login(User.objects.create_superuser("boss", password="x"))
    assert guarded.post(address).status_code == 403
    cycle.refresh_from_db()
    assert cycle.state == "QUEUED"


# One execution


def test_an_execution_shows_every_step_with_what_it_left() -> None:
    told = tell("buy")
    page = shown(person(EXECUTION, EVENT), "execution", told.execution.pk)
    for step in told.execution.workflow_version.steps:
        assert f"<strong>{step['name'].replace('_', ' ')}</strong>" in page
    assert page.count("desk-done") == len(told.execution.workflow_version.steps)
    assert "no worker was lost" in page
    assert "epoch 1" in page
    assert told.orders[0].order_ref in page
    assert told.execution.correlation_id in page
    assert "All of it" in page


def test_steps_to_come_and_a_wait_are_told() -> None:
    steps = [{"name": "check_session"}, {"name": "fetch_data", "delay_s": 60}, {"name": "decide"}]
    row = strategy(workflow_version=published(steps, "slow"))
    execution = claimed(row)
    stepped(execution, text=EVIL)
    execution_wait(execution, 1, 60)
    page = shown(person(EXECUTION), "execution", execution.pk)
    assert "waits before step 2 of 3: fetch data, until <time" in page
    assert "to come" in page
    assert "&lt;script&gt;" in page
    assert EVIL not in page
    assert "held by nobody" in page


def test_a_failed_step_says_its_error_and_what_was_not_run() -> None:
    steps = [{"name": "check_session"}, {"name": "fetch_data"}]
    execution = claimed(strategy(workflow_version=published(steps, "two")))
    with audit.recording():
        record = StepRecord(0, "check_session", {}, {}, system_now(), error=f"no contract {EVIL}")
        step_commit(execution, record, failed=True)
        execution_end(execution, outcome="failed", reason="NO_CONTRACT", failed=True)
    page = shown(person(EXECUTION), "execution", execution.pk)
    assert "no contract &lt;script&gt;" in page
    assert "failed in step 1 of 2: check session" in page
    assert "not run" in page
    assert "desk-failed" in page


def test_an_execution_that_was_resumed_says_so() -> None:
    execution = claimed(strategy())
    WorkflowExecution.objects.filter(pk=execution.pk).update(lease_until=system_now() - timedelta(minutes=1))
    again = execution_claim("test", "worker-2", execution.cycle_id)
    assert again is not None
    page = shown(person(EXECUTION), "execution", execution.pk)
    assert "resumed 1 time after a worker was lost" in page
    assert "worker:worker-2" in page
    assert "epoch 2" in page


# The cost of looking


def test_the_number_of_queries_does_not_grow() -> None:
    few = queued(("AAPL",), "few")
    client = person(CYCLE, EXECUTION, EVENT)
    counted = {name: queries(client, name, *args) for name, args in (("cycles", []), ("cycle", [few.pk]))}
    many = queued(("AAPL", "SPY", "IBM", "MSFT", "NVDA"), "many")
    for number in range(8):
        queued(("AAPL",), f"s{number}")
    while (execution := execution_claim("test", "w", many.pk)) is not None:
        stepped(execution, 2)
    assert queries(client, "cycles") <= counted["cycles"]
    assert queries(client, "cycle", many.pk) <= counted["cycle"] + 1  # what the feed's lines name is looked up


def test_small_values_are_numbers_and_short_texts() -> None:
    output = {"n": 1, "s": "x", "long": "x" * 500, "none": None, "list": [1, 2], "deep": {"a": 1}, "rows": [{"a": 1}]}
    assert small_values(output) == [("n", 1), ("s", "x"), ("list", [1, 2])]
    assert small_values(["odd"]) == []


def test_where_bears_versions_that_say_nothing() -> None:
    row = WorkflowExecution(state="RUNNING", next_step=3, started_at=system_now())
    assert where(row, ()) == "step 0 of 0: the end"


@pytest.mark.browser
@pytest.mark.timeout(240)
@pytest.mark.django_db(transaction=True)
def test_a_running_cycle_moves_under_the_readers_eyes(browser: Any, live_server: Any) -> None:
    """Steps that another process commits are shown without a reload, the live feed being away or not."""
    cycle = queued()
    execution = execution_claim("test", "worker-1", cycle.pk)
    assert execution is not None
    cookie = person(CYCLE, EXECUTION).cookies[settings.SESSION_COOKIE_NAME].value
    context = browser.new_context(viewport={"width": 390, "height": 900})
    context.set_default_timeout(60_000)
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
    page = context.new_page()
    loads: list[str] = []
    page.on("load", lambda loaded: loads.append(loaded.url))
    page.goto(live_server.url + reverse("cycle", args=[cycle.pk]))
    page.locator("#cycle-now", has_text="step 1 of 3: check session").wait_for()
    stepped(execution, 2)
    page.locator("#cycle-now", has_text="step 3 of 3: decide").wait_for()
    assert page.locator(f"#work-{execution.pk} progress").evaluate("bar => bar.value") == 2
    assert len(loads) == 1
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    context.close()
