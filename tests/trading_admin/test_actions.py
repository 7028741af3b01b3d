"""What people may do in the admin: each by its permission, by POST with a token, and through a service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from autotrader.core.audit.models import Event
from autotrader.core.users.models import User
from broker.gates import HaltState, halt_file, halt_reading, halt_set, halt_state
from trading.models import Cycle, Strategy, Workflow, WorkflowVersion
from trading.services.demo import TWO_INDICATORS, demo_seed
from trading.services.strategies import strategy_save

pytestmark = pytest.mark.django_db
CONFIRMED = {"confirmed": "yes", "key": "1b4e28ba-2fa1-11d2-883f-0016d3cca427"}
STRATEGY_RIGHTS = ("trading.view_strategy", "trading.view_cycle", "trading.view_workflowexecution")


@pytest.fixture(autouse=True)
def open_latch(tmp_path: Path, settings: Any) -> None:
    """A state folder of the test's own, since the Halt is a file too."""
    settings.AUTOTRADER_STATE_DIR = tmp_path


@pytest.fixture
def strategy(db: None) -> Strategy:
    return demo_seed()


def said(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def run_url(strategy: Strategy) -> str:
    return reverse("admin:trading_strategy_run", args=[strategy.pk])


def select(action: str, *rows: Any) -> dict[str, Any]:
    seen = {f"seen-{row.pk}": row.version for row in rows if isinstance(row, Strategy)}
    return {"action": action, "_selected_action": [row.pk for row in rows], "index": 0, **seen}


def press(strategy: Strategy) -> dict[str, Any]:
    return {"key": CONFIRMED["key"], "seen_version": strategy.version}


def test_run_now_queues_a_cycle_and_shows_it(login: Any, strategy: Strategy) -> None:
    answer = login(*STRATEGY_RIGHTS, "trading.run_cycle").post(run_url(strategy), press(strategy))
    cycle = Cycle.objects.get()
    assert answer.url == reverse("admin:trading_cycle_change", args=[cycle.pk])
    assert cycle.trigger == "manual"
    assert cycle.requested_by.startswith("staff")
    assert cycle.executions.count() == 3
    assert Event.objects.get(type="CYCLE_QUEUED").actor == cycle.requested_by


def test_run_now_as_an_action_of_the_list(login: Any, strategy: Strategy) -> None:
    client = login(*STRATEGY_RIGHTS, "trading.run_cycle")
    client.post(reverse("admin:trading_strategy_changelist"), select("run_now", strategy))
    assert not Cycle.objects.exists()
    client.post(reverse("admin:trading_strategy_changelist"), select("run_now", strategy) | CONFIRMED)
    assert Cycle.objects.get().executions.count() == 3


def test_running_needs_the_permission(login: Any, strategy: Strategy) -> None:
    client = login(*STRATEGY_RIGHTS, "trading.change_strategy")
    assert client.post(run_url(strategy)).status_code == 403
    client.post(reverse("admin:trading_strategy_changelist"), select("run_now", strategy))
    assert "Run cycle now" not in client.get(reverse("admin:trading_strategy_changelist")).content.decode()
    assert (
        run_url(strategy)
        not in client.get(reverse("admin:trading_strategy_change", args=[strategy.pk])).content.decode()
    )
    assert not Cycle.objects.exists()


def test_nothing_happens_by_get_or_without_a_token(boss: Client, strategy: Strategy) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="boss"))
    assert boss.get(run_url(strategy)).status_code == 405
    assert strict.post(run_url(strategy)).status_code == 403
    assert boss.get(reverse("admin:trading_halt"), {"reason": "a reason", "state": "HALTED"}).status_code == 200
    assert strict.post(reverse("admin:trading_halt"), {"reason": "a reason", "state": "HALTED"}).status_code == 403
    assert not Cycle.objects.exists()
    assert halt_state() is HaltState.ACTIVE


def test_a_strategy_that_cannot_run_is_refused_with_the_reason(boss: Client, strategy: Strategy) -> None:
    strategy.instruments.clear()
    answer = boss.post(run_url(strategy), press(strategy))
    assert "has no instruments" in said(answer)
    assert answer.url == reverse("admin:trading_strategy_change", args=[strategy.pk])
    assert not Cycle.objects.exists()


@pytest.mark.parametrize("state", [HaltState.HALTED, HaltState.REDUCING])
def test_halt_with_a_reason(login: Any, state: HaltState) -> None:
    client = login("trading.halt_trading")
    answer = client.post(reverse("admin:trading_halt"), {"state": state.value, "reason": "the feed is wrong"})
    assert answer.url == reverse("admin:index")
    assert halt_state() is state
    event = Event.objects.get(type="HALT_CHANGED")
    assert (event.new_state, event.cause) == (state.value, "the feed is wrong")
    assert event.actor.startswith("staff")
    assert "the feed is wrong" in client.get(reverse("admin:index")).content.decode()


def test_cancelling_every_order_must_be_typed(login: Any) -> None:
    client, url = login("trading.halt_trading", "trading.remove_protection"), reverse("admin:trading_halt")
    words = {"state": "HALTED", "reason": "all out", "cancel": "all"}
    assert client.post(url, {**words, "typed": "all"}).context["form"].errors
    assert halt_state() is HaltState.ACTIVE
    assert "No broker process is running" in said(client.post(url, {**words, "typed": "ALL"}))
    assert halt_reading().cancel == "all"


def test_who_may_not_remove_protection_halts_and_is_told_what_was_left_out(login: Any) -> None:
    words = {"state": "HALTED", "reason": "all out", "cancel": "all", "typed": "ALL"}
    told = said(login("trading.halt_trading").post(reverse("admin:trading_halt"), words))
    assert "Trading is HALTED" in told
    assert "Only entries were asked to end" in told
    assert (halt_state(), halt_reading().cancel) == (HaltState.HALTED, "entries")


def test_a_strategy_is_never_deleted(boss: Client, strategy: Strategy) -> None:
    url = reverse("admin:trading_strategy_changelist")
    assert boss.post(reverse("admin:trading_strategy_delete", args=[strategy.pk]), {"post": "yes"}).status_code == 403
    boss.post(url, select("delete_selected", strategy) | {"post": "yes"})
    assert "delete_selected" not in boss.get(url).content.decode()
    assert Strategy.objects.filter(pk=strategy.pk).exists()


def test_a_release_is_of_the_halt_that_was_shown(login: Any) -> None:
    halt_set(HaltState.HALTED, "anna", "the feed is wrong")
    client, url = login("trading.release_trading"), reverse("admin:trading_release")
    seen = client.get(url).context["form"].initial["seen"]
    halt_set(HaltState.HALTED, "loss guard", "4 % are lost")
    assert "has changed since you looked" in said(client.post(url, {"reason": "the feed is right", "seen": seen}))
    assert halt_state() is HaltState.HALTED


def test_release_with_a_reason(login: Any, django_capture_on_commit_callbacks: Any) -> None:
    halt_set(HaltState.HALTED, "anna", "the feed is wrong")
    client, url = login("trading.release_trading"), reverse("admin:trading_release")
    seen = client.get(url).context["form"].initial["seen"]
    with django_capture_on_commit_callbacks(execute=True):
        client.post(url, {"reason": "the feed is right again", "seen": seen})
    assert halt_state() is HaltState.ACTIVE
    assert not halt_file(Path(settings.AUTOTRADER_STATE_DIR)).exists()


@pytest.mark.parametrize("seen", [{}, {"seen": ""}, {"seen": "1" * 201}])
def test_a_release_that_does_not_say_which_halt_it_means_is_refused(login: Any, seen: dict[str, str]) -> None:
    halt_set(HaltState.HALTED, "anna", "the feed is wrong")
    client, url = login("trading.release_trading"), reverse("admin:trading_release")
    answer = client.post(url, {"reason": "the feed is right again", **seen})
    assert (answer.status_code, answer["Location"]) == (302, url)
    assert "which halt was seen" in said(answer)
    assert halt_state() is HaltState.HALTED


@pytest.mark.parametrize("reason", ["", "  ", "x", "y" * 501])
def test_a_halt_without_a_proper_reason_is_asked_again(boss: Client, reason: str) -> None:
    answer = boss.post(reverse("admin:trading_halt"), {"state": "HALTED", "reason": reason})
    assert answer.status_code == 200
    assert answer.context["form"].errors
    assert halt_state() is HaltState.ACTIVE


def test_halt_and_release_are_two_permissions(login: Any) -> None:
    halting, releasing = login("trading.halt_trading"), login("trading.release_trading")
    assert releasing.post(reverse("admin:trading_halt"), {"state": "HALTED", "reason": "a reason"}).status_code == 403
    assert halting.post(reverse("admin:trading_release"), {"reason": "a reason"}).status_code == 403
    assert halting.get(reverse("admin:trading_release")).status_code == 403
    assert reverse("admin:trading_halt") not in releasing.get(reverse("admin:index")).content.decode()
    assert halt_state() is HaltState.ACTIVE


def strategy_form(strategy: Strategy, **changes: Any) -> dict[str, Any]:
    values = {
        "name": strategy.name,
        "enabled": "on",
        "mode": strategy.mode,
        "analyst": "",
        "workflow_version": strategy.workflow_version_id,
        "instruments": [row.pk for row in strategy.instruments.all()],
        "parameters": '{"period_1": "1 Y"}',
        "risk_profile": strategy.risk_profile_id,
        "priority": 0,
        "interval_seconds": "",
        "seen_version": strategy.version,
    }
    return values | changes


def test_saving_a_strategy_makes_a_version_and_an_event(boss: Client, strategy: Strategy) -> None:
    kept = strategy.instruments.get(symbol="AAPL")
    form = strategy_form(strategy, instruments=[kept.pk], priority=7)
    assert boss.post(reverse("admin:trading_strategy_change", args=[strategy.pk]), form).status_code == 302
    strategy.refresh_from_db()
    assert (strategy.version, strategy.priority) == (2, 7)
    assert list(strategy.instruments.all()) == [kept]
    event = Event.objects.filter(type="STRATEGY_CHANGED").first()
    assert event is not None
    assert event.actor == "boss"
    assert '"instruments":[["AAPL","IBM","SPY"],["AAPL"]]' in event.document


@pytest.mark.parametrize("changes", [{"instruments": []}, {"parameters": "[1]"}, {"workflow_version": 4711}])
def test_a_strategy_that_cannot_run_is_not_saved(boss: Client, strategy: Strategy, changes: dict[str, Any]) -> None:
    answer = boss.post(reverse("admin:trading_strategy_change", args=[strategy.pk]), strategy_form(strategy, **changes))
    assert answer.status_code == 200
    strategy.refresh_from_db()
    assert strategy.version == 1


def test_nobody_saves_over_a_version_they_did_not_see(boss: Client, strategy: Strategy) -> None:
    url = reverse("admin:trading_strategy_change", args=[strategy.pk])
    assert 'name="seen_version" value="1"' in boss.get(url).content.decode()
    strategy_save(strategy, actor="ben")
    answer = boss.post(url, strategy_form(strategy, seen_version=1, priority=9))
    assert "Version 2 was saved meanwhile" in answer.content.decode()
    strategy.refresh_from_db()
    assert (strategy.version, strategy.priority) == (2, 0)


def test_a_disabled_strategy_may_wait_for_its_instruments(boss: Client, strategy: Strategy) -> None:
    form = strategy_form(strategy, instruments=[]) | {"name": "later"}
    del form["enabled"]
    assert boss.post(reverse("admin:trading_strategy_add"), form).status_code == 302
    assert Strategy.objects.get(name="later").version == 1


def test_only_published_versions_can_be_chosen(boss: Client, strategy: Strategy) -> None:
    draft = WorkflowVersion.objects.create(
        workflow=strategy.workflow_version.workflow, number=2, steps=strategy.workflow_version.steps
    )
    form = strategy_form(strategy, workflow_version=draft.pk)
    assert boss.post(reverse("admin:trading_strategy_change", args=[strategy.pk]), form).status_code == 200
    strategy.refresh_from_db()
    assert strategy.workflow_version_id != draft.pk


def test_saving_a_risk_profile_makes_a_version_and_an_event(boss: Client, strategy: Strategy) -> None:
    profile = strategy.risk_profile
    url = reverse("admin:trading_riskprofile_change", args=[profile.pk])
    form = {name: field for name, field in boss.get(url).context["adminform"].form.initial.items() if field is not None}
    answer = boss.post(url, form | {"max_open_orders": 3, "allowed_symbols": "[]", "seen_version": 1})
    assert answer.status_code == 302
    profile.refresh_from_db()
    assert (profile.version, profile.max_open_orders) == (2, 3)
    event = Event.objects.filter(type="RISK_PROFILE_CHANGED").first()
    assert event is not None
    assert event.cause == "changed: max_open_orders"


@pytest.fixture
def draft(db: None) -> WorkflowVersion:
    return WorkflowVersion.objects.create(
        workflow=Workflow.objects.create(name="mine"), number=1, steps=TWO_INDICATORS[:3]
    )


def test_publishing_is_an_action_and_final(boss: Client, draft: WorkflowVersion) -> None:
    url = reverse("admin:trading_workflowversion_changelist")
    change = reverse("admin:trading_workflowversion_change", args=[draft.pk])
    assert "is published" in said(boss.post(url, select("publish", draft)))
    draft.refresh_from_db()
    assert draft.published_by == "boss"
    assert Event.objects.get(type="WORKFLOW_PUBLISHED").actor == "boss"
    assert boss.post(change, {"workflow": draft.workflow_id, "number": 1, "steps": "[]"}).status_code == 403
    assert boss.post(reverse("admin:trading_workflowversion_delete", args=[draft.pk])).status_code == 403
    assert "already published" in said(boss.post(url, select("publish", draft)))


def test_unsound_steps_are_not_published(boss: Client, draft: WorkflowVersion) -> None:
    WorkflowVersion.objects.filter(pk=draft.pk).update(steps=[{"name": "buy_everything"}])
    answer = boss.post(reverse("admin:trading_workflowversion_changelist"), select("publish", draft))
    assert "buy_everything" in said(answer)
    draft.refresh_from_db()
    assert draft.published_at is None


def test_a_halt_that_is_less_strict_leaves_the_stricter_one(login: Any) -> None:
    halt_set(HaltState.HALTED, "anna", "the feed is wrong")
    words = {"state": HaltState.REDUCING.value, "reason": "looks better"}

    answer = login("trading.halt_trading", "trading.release_trading").post(reverse("admin:trading_halt"), words)
    assert "Trading is HALTED" in said(answer)
    assert halt_state() is HaltState.HALTED


def test_who_sets_up_strategies_does_not_loosen_them_on_their_page(login: Any, strategy: Strategy) -> None:
    Strategy.objects.update(mode="approve")
    url = reverse("admin:trading_strategy_change", args=[strategy.pk])
    for rights, mode in (((), "approve"), (("trading.change_riskprofile",), "auto")):
        client = login(*STRATEGY_RIGHTS, "trading.change_strategy", *rights)
        form = client.get(url).context["adminform"].form
        told = {name: form[name].value() for name in form.fields if form[name].value() is not None}
        told |= {"parameters": json.dumps(strategy.parameters), "mode": "auto", "seen_version": form.instance.version}
        answer = client.post(url, {name: value for name, value in told.items() if value is not False})
        assert bool(answer.context) is (mode == "approve")
        strategy.refresh_from_db()
        assert strategy.mode == mode
