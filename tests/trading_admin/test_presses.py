"""A form that is sent twice starts one cycle and makes one copy; a page out of date starts nothing."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.urls import reverse

from autotrader.core.audit.models import Event
from autotrader.core.errors import Conflict
from trading.models import Cycle, Strategy
from trading.selectors.settings import StrategyUnknown
from trading.services.demo import demo_seed
from trading.services.strategies import strategy_save
from trading.services.strategy_presses import cycle_press, strategy_copy

RIGHTS = ("trading.view_strategy", "trading.run_cycle", "trading.view_cycle", "trading.add_strategy")


@pytest.fixture
def strategy(db: None) -> Strategy:
    return demo_seed()


def said(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def run_url(strategy: Strategy) -> str:
    return reverse("admin:trading_strategy_run", args=[strategy.pk])


def form_of(client: Client, strategy: Strategy) -> dict[str, Any]:
    """What the button on the strategy's page sends."""
    page = client.get(reverse("admin:trading_strategy_change", args=[strategy.pk]))
    shown = page.content.decode().split(run_url(strategy))[1].split("</form>")[0]
    return {name: shown.split(f'name="{name}" value="')[1].split('"')[0] for name in ("key", "seen_version")}


def test_the_button_sent_twice_is_one_cycle(login: Any, strategy: Strategy) -> None:
    client = login(*RIGHTS)
    form = form_of(client, strategy)
    first, again = client.post(run_url(strategy), form), client.post(run_url(strategy), form)
    cycle = Cycle.objects.get()
    assert first.url == again.url == reverse("admin:trading_cycle_change", args=[cycle.pk])
    assert Event.objects.filter(type="CYCLE_QUEUED").count() == 1
    client.post(run_url(strategy), form_of(client, strategy))
    assert Cycle.objects.count() == 2


def test_a_page_out_of_date_starts_nothing(login: Any, strategy: Strategy) -> None:
    client = login(*RIGHTS)
    form = form_of(client, strategy)
    strategy.priority += 1
    strategy_save(strategy, actor="somebody else")
    assert "read it again" in said(client.post(run_url(strategy), form))
    for broken in ({}, {"key": form["key"]}, {"seen_version": "2"}, {"key": "x", "seen_version": "9" * 5000}):
        assert "out of date" in said(client.post(run_url(strategy), broken))
    chosen = {"action": "run_now", "_selected_action": [strategy.pk], "index": 0, "confirmed": "yes"}
    path = reverse("admin:trading_strategy_changelist")
    for seen in ({}, {f"seen-{strategy.pk}": strategy.version - 1}):
        assert "read it again" in said(client.post(path, chosen | {"key": str(uuid.uuid4())} | seen))
    assert not Cycle.objects.exists()


def test_the_action_of_the_list_sent_twice_is_one_cycle_and_one_copy(login: Any, strategy: Strategy) -> None:
    client, path = login(*RIGHTS), reverse("admin:trading_strategy_changelist")
    yes = {"_selected_action": [strategy.pk], "index": 0, "confirmed": "yes", f"seen-{strategy.pk}": strategy.version}
    for action in ("run_now", "copy"):
        form = {**yes, "action": action, "key": str(uuid.uuid4())}
        for _ in range(2):
            client.post(path, form)
    assert Cycle.objects.count() == 1
    assert sorted(Strategy.objects.values_list("name", flat=True)) == [strategy.name, f"{strategy.name} copy"]
    strategy.priority += 1
    strategy_save(strategy, actor="somebody else")
    assert "read it again" in said(client.post(path, {**yes, "action": "copy", "key": str(uuid.uuid4())}))
    assert Strategy.objects.count() == 2


def test_a_key_is_of_one_person_and_one_cycle(strategy: Strategy) -> None:
    key, seen = uuid.uuid4(), {strategy.pk: strategy.version}
    made = cycle_press(seen, key=key, actor="ann")
    assert cycle_press(seen, key=key, actor="ann") == made
    assert cycle_press({strategy.pk: 77}, key=key, actor="ann") == made
    for other in ({"actor": "bob"}, {"actor": "ann", "dry_run": True}):
        with pytest.raises(Conflict) as refused:
            cycle_press(seen, key=key, **other)  # type: ignore[arg-type]
        assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"
    with pytest.raises(StrategyUnknown):
        cycle_press({0: 1}, key=uuid.uuid4(), actor="ann")
    with pytest.raises(StrategyUnknown):
        strategy_copy(0, version=1, key=key, actor="ann", may_loosen=True)


@pytest.mark.django_db(transaction=True)
def test_two_presses_at_once_are_one() -> None:
    strategy = demo_seed()
    key, seen = uuid.uuid4(), {strategy.pk: strategy.version}

    def press(_: int) -> tuple[int, int]:
        try:
            made = cycle_press(seen, key=key, actor="ann")
            copied = strategy_copy(strategy.pk, version=strategy.version, key=key, actor="ann", may_loosen=True)
            return made.pk, copied.pk
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(press, range(8)))
    assert len(answers) == 1
    assert (Cycle.objects.count(), Strategy.objects.count()) == (1, 2)
