"""What the admin's pages show to whom, the box that finds everything, files with their event, and long cycles."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from autotrader.core.audit.models import Event
from autotrader.core.formats import price
from tests.trading_admin.story import Told
from trading.models import Cycle, Discrepancy, Fill, Instrument, Trade, WorkflowExecution
from trading.selectors.stories import SHOWN_EXECUTIONS, cycle_story
from trading.services.demo import demo_seed

pytestmark = pytest.mark.django_db
BORN = datetime(2024, 1, 2, tzinfo=UTC)


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, settings: Any) -> None:
    settings.AUTOTRADER_STATE_DIR = tmp_path


def page_of(client: Client, row: Model) -> str:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    answer = client.get(reverse(name, args=[row.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def changelist(name: str) -> str:
    return reverse(f"admin:{name}_changelist")


# Sections


def sections_of(told: Told) -> list[tuple[Model, str, str]]:
    """Each page with a part that has a permission of its own: what marks the part, and the permission."""
    order, decision, execution = told.orders[0], told.decision, told.execution
    Discrepancy.objects.create(
        account=order.account, kind="cancel", subject=f"order:{order.order_ref}", order=order,
        detail="one is missing", first_seen_at=BORN, last_seen_at=BORN, market_at=BORN,
    )  # fmt: skip
    return [
        (order, 'id="events"', "audit.view_event"),
        (order, 'id="fills"', "trading.view_fill"),
        (order, "one is missing", "trading.view_discrepancy"),
        (order, "No frame of this order has left", "broker.view_submission"),
        (order, "<dt>Decision</dt>", "trading.view_decision"),
        (order, "<dt>Strategy</dt>", "trading.view_strategy"),
        (decision, 'id="events"', "audit.view_event"),
        (decision, 'id="orders"', "trading.view_order"),
        (decision, 'id="trades"', "trading.view_trade"),
        (decision, 'id="verdicts"', "trading.view_riskverdict"),
        (decision, 'id="steps"', "trading.view_steprun"),
        (decision, 'id="charts"', "trading.view_analysis"),
        (decision, "desk-strength", "trading.view_analysis"),
        (execution, 'id="events"', "audit.view_event"),
        (execution, 'id="step-details"', "trading.view_steprun"),
        (execution, 'id="orders"', "trading.view_order"),
        (execution.cycle, 'id="events"', "audit.view_event"),
        (execution.cycle, 'id="executions"', "trading.view_workflowexecution"),
        (execution.strategy, 'id="recent"', "trading.view_decision"),
        (execution.strategy.risk_profile, 'id="history"', "trading.view_riskprofileversion"),
    ]


def test_every_part_of_a_page_is_shown_by_its_own_permission(login: Any, bought: Told) -> None:
    bare: dict[Model, str] = {}
    for row, mark, permission in sections_of(bought):
        view = f"trading.view_{row._meta.model_name}"
        if row not in bare:
            bare[row] = page_of(login(view), row)
        assert mark not in bare[row], (row, permission)
        assert mark in page_of(login(view, permission), row), (row, permission)


def test_parts_of_the_first_page_are_shown_by_their_own_permission(login: Any, bought: Told) -> None:
    marks = {
        "Waiting for approval": "trading.view_approval",
        "Orders at the broker": "trading.view_order",
        "Latest trades": "trading.view_trade",
        "Last cycles": "trading.view_cycle",
        "Differences to the broker": "trading.view_discrepancy",
        "Broker messages not applied": "broker.view_brokermessage",
    }
    bare = login("trading.view_decision").get(reverse("admin:index")).content.decode()
    assert "The machine" in bare
    for mark, permission in marks.items():
        assert mark not in bare
        assert mark in login("trading.view_decision", permission).get(reverse("admin:index")).content.decode()


def test_who_may_not_see_it_does_not_act_on_it(login: Any, bought: Told) -> None:
    order, cycle, strategy = bought.orders[0], bought.execution.cycle, bought.execution.strategy
    actions = (
        ("trading.request_order", "trading_order_cancel", order),
        ("trading.run_cycle", "trading_cycle_cancel", cycle),
        ("trading.run_cycle", "trading_strategy_run", strategy),
        ("trading.resume_strategy", "trading_strategy_resume", strategy),
        ("trading.approve_order", "trading_approval_word", order),
        ("trading.resolve_discrepancy", "trading_discrepancy_resolve", order),
    )
    for permission, name, row in actions:
        answer = login(permission).post(reverse(f"admin:{name}", args=[row.pk]))
        assert answer.status_code == 403, name


# Long cycles


def test_a_cycle_of_many_executions_shows_the_newest_and_leads_to_all(boss: Client) -> None:
    strategy = demo_seed()
    cycle = Cycle.objects.create(trigger="manual", requested_by="ann", correlation_id="c1", created_at=BORN)
    made = {"cycle": cycle, "strategy": strategy, "workflow_version": strategy.workflow_version, "created_at": BORN}
    instruments = [Instrument(symbol=f"S{number}") for number in range(SHOWN_EXECUTIONS + 7)]
    Instrument.objects.bulk_create(instruments)
    WorkflowExecution.objects.bulk_create(WorkflowExecution(instrument=row, **made) for row in instruments)
    story = cycle_story(cycle)
    assert (len(story.executions), story.total) == (SHOWN_EXECUTIONS, SHOWN_EXECUTIONS + 7)
    assert story.executions[-1].instrument.symbol == instruments[-1].symbol
    page = page_of(boss, cycle)
    assert f"the newest {SHOWN_EXECUTIONS} of {SHOWN_EXECUTIONS + 7}" in page
    everything = f"{changelist('trading_workflowexecution')}?cycle__exact={cycle.pk}"
    assert f'href="{everything}"' in page
    listed = boss.get(everything).context["cl"]
    assert {row.cycle_id for row in listed.result_list} == {cycle.pk}
    assert listed.older_url


# Files


def exported(answer: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_who_takes_a_list_as_a_file_is_on_record(login: Any, bought: Told) -> None:
    client = login("trading.view_order")
    rows = exported(client.get(changelist("trading_order"), {"_export": "csv", "role__exact": "entry"}))
    event = Event.objects.get(type="LIST_EXPORTED")
    assert (event.actor[:5], event.subject) == ("staff", "list:order")
    told = json.loads(event.document)
    assert (told["rows"], told["filters"]) == (len(rows) - 1, {"role__exact": "entry"})
    assert event.cause == "1 row as CSV, role__exact=entry"
    chosen = {"action": "export_chosen", "_selected_action": [row.pk for row in bought.orders[:2]], "index": 0}
    client.post(changelist("trading_order"), chosen)
    told = json.loads(Event.objects.filter(type="LIST_EXPORTED").latest("seq").document)
    assert (told["rows"], told["filters"]) == (2, {"chosen": "by hand"})


def test_a_file_of_all_of_a_filtered_list_says_so(login: Any, bought: Told) -> None:
    client, one = login("trading.view_order"), bought.orders[0]
    chosen = {"action": "export_chosen", "_selected_action": [one.pk], "index": 0, "select_across": 1}
    rows = exported(client.post(f"{changelist('trading_order')}?q=AAPL", chosen))
    assert len(rows) - 1 == len(bought.orders) > 1
    event = Event.objects.get(type="LIST_EXPORTED")
    told = json.loads(event.document)
    assert (told["rows"], told["filters"]) == (len(bought.orders), {"chosen": "all of the list", "q": "AAPL"})
    client.post(changelist("trading_order"), chosen | {"select_across": 0})
    told = json.loads(Event.objects.filter(type="LIST_EXPORTED").latest("seq").document)
    assert (told["rows"], told["filters"]) == (1, {"chosen": "by hand"})


def test_a_file_that_nobody_gets_is_not_on_record(login: Any, bought: Told) -> None:
    login("trading.view_decision").get(changelist("trading_order"), {"_export": "csv"})
    login("trading.view_order").get(changelist("trading_order"), {"_export": "csv", "no_such__x": "1"})
    assert not Event.objects.filter(type="LIST_EXPORTED").exists()


def test_what_a_file_was_narrowed_to_is_kept_within_bounds(boss: Client, bought: Told) -> None:
    boss.get(changelist("trading_order"), {"_export": "csv", "q": "x" * 5000})
    told = json.loads(Event.objects.get(type="LIST_EXPORTED").document)
    assert (told["filters"], told["rows"]) == ({"q": "x" * 200}, 0)


def test_a_result_is_told_once_every_commission_is_known(boss: Client, bought: Told) -> None:
    trade = Trade.objects.get()
    pages = (changelist("trading_trade"), reverse("admin:index"))
    pages = (*pages, reverse("admin:trading_decision_change", args=[bought.decision.pk]))
    pages = (*pages, reverse("admin:trading_trade_change", args=[trade.pk]))

    def told(words: str) -> bool:
        return all(words in boss.get(page).content.decode() for page in pages)

    def filed() -> tuple[str, Decimal | None, Decimal | None]:
        """The result's word, the result and the commissions, as they stand in the file."""
        head, line = exported(boss.get(pages[0], {"_export": "csv"}))
        row = dict(zip(head, line, strict=True))
        assert row["instrument__currency"] == "USD"
        assert not {"pnl", "commission"} & row.keys()
        pnl, costs = (Decimal(row[name]) if row[name] else None for name in ("final_pnl", "all_commissions"))
        return row["result"], pnl, costs

    paid, gained = trade.commission, Decimal("12.5")
    assert told("not yet")
    assert filed() == ("open", None, paid)
    Trade.objects.update(state="CLOSED", pnl=gained, closed_at=trade.opened_at)
    Fill.objects.update(commission=1)
    assert told(">+12.50</span> USD")
    assert filed() == ("final", gained, paid)
    Fill.objects.update(commission=None)
    assert told("commission awaited")
    assert not any("+12.50" in boss.get(page).content.decode() for page in pages)
    assert filed() == ("commission awaited", None, None)
    # Linked to the trade that it begins, it is the end of this one as well.
    Fill.objects.update(trade=None, time=trade.opened_at)
    assert told("commission awaited")
    assert filed() == ("commission awaited", None, None)
    Fill.objects.update(time=BORN)
    assert told(">+12.50</span> USD")
    assert filed() == ("final", gained, paid)
    Instrument.objects.update(sec_type="FUT")
    assert told("not reckoned: no share")
    assert filed() == ("not reckoned", None, paid)


def test_commissions_are_told_once_all_are_known(boss: Client, bought: Told) -> None:
    trade = Trade.objects.get()
    paid = {
        reverse("admin:trading_trade_change", args=[trade.pk]): f"{price(trade.commission)} USD",
        reverse("admin:trading_decision_change", args=[bought.decision.pk]): f">{price(trade.commission)}</td>",
    }
    for page, words in paid.items():
        assert words in boss.get(page).content.decode(), page
    Fill.objects.update(commission=None)
    for page, words in paid.items():
        shown = boss.get(page).content.decode()
        assert "awaited" in shown, page
        assert words not in shown, page


# Finding


def find(client: Client, words: str) -> Any:
    return client.get(reverse("admin:trading_find"), {"q": words})


def titles(answer: Any) -> set[str]:
    return {place.title for place in answer.context["places"] if place.hits}


def test_one_box_finds_by_symbol_reference_and_correlation_id(boss: Client, bought: Told) -> None:
    order = bought.orders[0]
    everything = {"decisions", "orders", "trades", "cycles", "events"}
    assert titles(find(boss, "aapl")) == everything
    assert titles(find(boss, order.order_ref)) == everything - {"cycles"}
    assert titles(find(boss, bought.execution.cycle.correlation_id)) >= {"decisions", "orders", "cycles", "events"}
    page = find(boss, order.group).content.decode()
    assert f'href="{reverse("admin:trading_order_change", args=[order.pk])}"' in page
    assert f'href="{changelist("trading_order")}?q={order.group}"' in page


def test_the_box_stands_on_the_first_page_and_lists_lead_to_it(boss: Client, bought: Told) -> None:
    address = reverse("admin:trading_find")
    assert f'action="{address}"' in boss.get(reverse("admin:index")).content.decode()
    for name in ("trading_order", "trading_decision", "audit_event", "broker_brokermessage", "research_modelcall"):
        page = boss.get(changelist(name), {"q": "NOPE"}).content.decode()
        assert "Nothing in this list fits “NOPE”" in page, name
        assert f'href="{address}?q=NOPE"' in page, name


def test_what_is_not_found_is_said(boss: Client, bought: Told) -> None:
    assert "Nothing is found for “<b>x</b>”" not in find(boss, "<b>x</b>").content.decode()
    assert "Nothing is found for “&lt;b&gt;x&lt;/b&gt;”" in find(boss, "<b>x</b>").content.decode()
    assert "Write a symbol" in find(boss, " ").content.decode()
    for long in ("x" * 201, "a b c d e f"):
        assert "Write at most 5 words" in find(boss, long).content.decode()
    assert find(boss, "a\x00b").status_code == 200


def test_only_what_one_may_see_is_looked_through(login: Any, client: Client, bought: Told) -> None:
    assert titles(find(login("trading.view_order"), "AAPL")) == {"orders"}
    assert find(login("trading.view_instrument"), "AAPL").status_code == 403
    assert find(client, "AAPL").status_code == 302


# Instruments


def test_setting_up_and_changing_an_instrument_is_on_record(boss: Client) -> None:
    words = {"symbol": "MSFT", "sec_type": "STK", "exchange": "SMART", "currency": "USD"}
    boss.post(reverse("admin:trading_instrument_add"), words)
    row = Instrument.objects.get()
    added = Event.objects.get(type="INSTRUMENT_ADDED")
    assert (added.actor, added.subject) == ("boss", f"instrument:{row.pk}")
    url = reverse("admin:trading_instrument_change", args=[row.pk])
    boss.post(url, words | {"currency": "EUR"})
    boss.post(url, words | {"currency": "EUR"})
    changed = Event.objects.get(type="INSTRUMENT_CHANGED")
    assert changed.cause == "changed: currency"
    assert json.loads(changed.document)["changed"] == {"currency": ["USD", "EUR"]}
    assert Instrument.objects.get().currency == "EUR"


def test_the_words_of_a_known_contract_stay(boss: Client, bought: Told) -> None:
    row = Instrument.objects.exclude(con_id=None)[0]
    boss.post(reverse("admin:trading_instrument_change", args=[row.pk]), {"symbol": "OTHER", "currency": "EUR"})
    row.refresh_from_db()
    assert (row.symbol, row.currency) != ("OTHER", "EUR")
    assert not Event.objects.filter(type="INSTRUMENT_CHANGED").exists()
    assert boss.post(reverse("admin:trading_instrument_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
