"""Every page of the admin opens, in a number of queries that does not grow with its rows."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from PIL import Image

from autotrader.core.artifacts.services import artifact_read
from autotrader.core.audit.models import AuditHead, Event
from broker.models import BrokerMessage, Contract, Submission
from tests.trading_admin.story import Told, tell
from trading.models import (
    Account,
    Decision,
    Instrument,
    Order,
    OrderChange,
    RiskProfile,
    Strategy,
    Workflow,
    WorkflowVersion,
)
from trading.models.account import AccountKind
from trading.selectors.overview import overview
from trading.services.cycles import cycle_queue

EDITABLE = {Instrument, RiskProfile, Strategy, Workflow, WorkflowVersion}
OURS = {"trading", "broker", "research", "audit", "artifacts"}
LIST_QUERIES = 14
COLUMNS = ("symbol", "side", "quantity", "price")
BORN = datetime(2024, 1, 2, tzinfo=UTC)
STORY_QUERIES = 24

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def models_of_ours() -> list[Any]:
    return [model for model in admin.site._registry if model._meta.app_label in OURS]


def url_of(model: Any, page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def test_every_table_of_ours_is_registered() -> None:
    from django.apps import apps

    tables = {model for model in apps.get_models() if model._meta.app_label in OURS}
    assert tables == set(models_of_ours())


def test_every_list_of_ours_stands_in_the_side_bar(admin_client: Client) -> None:
    shown = admin_client.get(reverse("admin:index")).content.decode()
    missing = [model._meta.label for model in models_of_ours() if f'href="{url_of(model, "changelist")}"' not in shown]
    assert missing == []


def queries_of_lists(client: Client) -> dict[Any, int]:
    counts = {}
    for model in admin.site._registry:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(url_of(model, "changelist")).status_code == 200
        counts[model] = len(captured)
    return counts


def test_more_rows_in_a_list_mean_no_more_queries(boss: Client, bought: Told) -> None:
    few = queries_of_lists(boss)
    for kind, symbol in (("refused", "SPY"), ("hold", "IBM"), ("buy", "SPY"), ("hold", "AAPL")):
        tell(kind, symbol)
    many = queries_of_lists(boss)
    assert {model: count for model, count in many.items() if count > few[model]} == {}
    assert max(many.values()) <= LIST_QUERIES


def test_every_list_can_be_searched(boss: Client, bought: Told) -> None:
    asked = RequestFactory().get("/")
    for model, registered in admin.site._registry.items():
        if registered.get_search_fields(asked):
            answer = boss.get(url_of(model, "changelist"), {"q": "AAPL"})
            assert answer.status_code == 200, model


@pytest.mark.parametrize("found", ["AAPL", "correlation"])
def test_decisions_are_found_by_symbol_and_correlation_id(boss: Client, bought: Told, found: str) -> None:
    words = bought.execution.cycle.correlation_id if found == "correlation" else found
    answer = boss.get(url_of(Decision, "changelist"), {"q": words})
    assert [row.pk for row in answer.context["cl"].result_list] == [bought.decision.pk]
    assert not list(boss.get(url_of(Decision, "changelist"), {"q": "NOPE"}).context["cl"].result_list)


def test_every_record_has_a_page(boss: Client, bought: Told) -> None:
    for model in models_of_ours():
        record = model._default_manager.first()
        if record is not None:
            assert boss.get(url_of(model, "change", record.pk)).status_code == 200, model


def test_submissions_say_what_left_without_a_query_for_each(boss: Client) -> None:
    contract = {"con_id": 7, "sec_type": "STK", "exchange": "SMART", "currency": "USD", "fetched_at": BORN}
    Contract.objects.create(source="paper", symbol="AAPL", document='{"a":{"b":1}}', **contract)
    terms = {"con_id": 7, "side": "BUY", "quantity": "10", "limit_price": "101.5", "stop_price": None}
    rows = [
        Submission(order_ref=f"R{n}", revision=0, account="DU1", state="SENT", terms=json.dumps(terms), created_at=BORN)
        for n in range(5)
    ]
    Submission.objects.bulk_create(rows)
    change = {"order_ref": "R0", "revision": 1, "account": "DU1", "state": "SENT", "created_at": BORN}
    Submission.objects.create(terms='{"limit_price":null,"stop_price":"99"}', **change)
    with CaptureQueriesContext(connection) as captured:
        page = boss.get(url_of(Submission, "changelist")).content.decode()
    assert len(captured) <= LIST_QUERIES
    shown = [[cell.strip() for cell in re.findall(rf"field-{name}.*?>\s*([^<>]*?)\s*<", page)] for name in COLUMNS]
    assert shown[0] == ["–", *["AAPL"] * 5]
    assert shown[1] == ["–", *["BUY"] * 5]
    assert shown[2] == ["–", *["10"] * 5]
    assert shown[3] == ["stop 99.00", *["101.50"] * 5]


def test_a_document_keeps_its_indentation(boss: Client) -> None:
    contract = {"con_id": 7, "sec_type": "STK", "exchange": "SMART", "currency": "USD", "fetched_at": BORN}
    made = Contract.objects.create(source="paper", symbol="AAPL", document='{"a":{"b":1}}', **contract)
    page = boss.get(url_of(Contract, "change", made.pk)).content.decode()
    assert "{\n  &quot;a&quot;: {\n    &quot;b&quot;: 1" in re.search(r"<pre.*?</pre>", page, re.DOTALL)[0]  # type: ignore[index]


def test_history_can_be_neither_added_nor_changed_nor_deleted(boss: Client, bought: Told) -> None:
    for model in set(models_of_ours()) - EDITABLE:
        record = model._default_manager.first()
        assert boss.get(url_of(model, "add")).status_code == 403, model
        if record is None:
            continue
        assert boss.post(url_of(model, "change", record.pk), {}).status_code == 403, model
        assert boss.post(url_of(model, "delete", record.pk), {"post": "yes"}).status_code == 403, model
        assert model._default_manager.filter(pk=record.pk).exists()


def test_lists_and_pages_are_closed_to_people_without_the_permission(login: Any, bought: Told) -> None:
    client = login()
    for model in admin.site._registry:
        assert client.get(url_of(model, "changelist")).status_code == 403, model
    assert (
        client.get(reverse("admin:trading_decision_chart", args=[bought.execution.analyses.last().pk])).status_code
        == 403
    )


def test_the_index_shows_the_desk(boss: Client, bought: Told, django_assert_max_num_queries: Any) -> None:
    BrokerMessage.objects.create(
        kind="execution", payload="{}", received_at=bought.decision.at, state="ERROR", error="no such order"
    )
    with django_assert_max_num_queries(26):
        page = boss.get(reverse("admin:index")).content.decode()
    for words in ("Trading is ACTIVE", "BUY AAPL", "DU1234567", "not live", "look at them"):
        assert words in page


def test_the_index_shows_nothing_of_the_desk_to_people_who_may_not_see_it(login: Any, bought: Told) -> None:
    page = login("trading.view_instrument").get(reverse("admin:index")).content.decode()
    assert "Trading is ACTIVE" in page
    assert "BUY AAPL" not in page
    assert "DU1234567" not in page


def test_the_decision_page_tells_its_story(boss: Client, bought: Told, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(STORY_QUERIES):
        page = boss.get(url_of(Decision, "change", bought.decision.pk)).content.decode()
    told = [
        "Both timeframes rise", "Reward to risk", "rules-v1", "✓ allowed", "supertrend",
        bought.orders[0].order_ref, "FILLED", "0000e0d5", "2.05", "place_order", "FILL BOOKED", "TRADE OPENED",
    ]  # fmt: skip
    for words in told:
        assert words in page
    assert page.count('class="desk-chart"') == 2


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("hold", ["The timeframes point in opposite directions.", "the decision was to hold"]),
        ("refused", ["profit margin 3", "✗ refused", "the decision was refused"]),
    ],
)
def test_the_decision_page_works_without_an_order(boss: Client, kind: str, words: list[str]) -> None:
    told = tell(kind)
    page = boss.get(url_of(Decision, "change", told.decision.pk)).content.decode()
    for expected in words:
        assert expected in page


@pytest.mark.parametrize("path", ["/nothing/here", "/admin/nothing/", "/approvals/4711/"])
def test_an_address_without_a_page_says_so_in_our_own_dress(boss: Client, path: str) -> None:
    answer = boss.get(path)
    assert answer.status_code == 404
    assert "There is no such page" in answer.content.decode()
    assert path in answer.content.decode()


def test_the_page_of_a_story_brings_no_script_of_a_form(boss: Client, bought: Told) -> None:
    for record in (bought.decision, bought.orders[0], bought.execution, bought.execution.cycle):
        page = boss.get(url_of(type(record), "change", record.pk)).content.decode()
        assert not [name for name in ("jquery", "xregexp", "jsi18n") if name in page], record
        assert "unfold/js/app" in page
    assert "jquery" in boss.get(url_of(Strategy, "change", bought.execution.strategy.pk)).content.decode()


def test_a_missing_decision_is_not_an_error(boss: Client) -> None:
    answer = boss.get(url_of(Decision, "change", 4711))
    assert answer.status_code == 302


def test_the_order_execution_and_cycle_pages_link_the_story(boss: Client, bought: Told) -> None:
    order = bought.orders[0]
    decision = url_of(Decision, "change", bought.decision.pk)
    for record in (order, bought.execution, bought.execution.cycle):
        page = boss.get(url_of(type(record), "change", record.pk)).content.decode()
        assert decision in page
        assert order.order_ref in page


def test_the_chart_is_drawn_once_and_kept(boss: Client, bought: Told) -> None:
    analysis = bought.execution.analyses.get(timeframe=1)
    url = reverse("admin:trading_decision_chart", args=[analysis.pk])
    first = boss.get(url)
    analysis.refresh_from_db()
    assert first["Content-Type"] == "image/png"
    assert first.content.startswith(b"\x89PNG")
    assert analysis.chart is not None
    assert boss.get(url).content == first.content
    kept = artifact_read(analysis.chart)
    with Image.open(io.BytesIO(first.content)) as shown, Image.open(io.BytesIO(kept)) as drawn:
        assert shown.size == drawn.size
    assert 2 * len(first.content) < len(kept), "with the whole of both the page would be too heavy"


def test_a_chart_is_for_who_may_see_analyses(login: Any, bought: Told) -> None:
    url = reverse("admin:trading_decision_chart", args=[bought.execution.analyses.get(timeframe=1).pk])
    for permissions in (("trading.view_decision",), ("trading.view_analysis",)):
        assert login(*permissions).get(url).status_code == 403, permissions
    assert login("trading.view_decision", "trading.view_analysis").get(url).status_code == 200


def test_an_analysis_without_bars_has_no_chart(boss: Client, bought: Told) -> None:
    analysis = bought.execution.analyses.get(timeframe=0)
    assert boss.get(reverse("admin:trading_decision_chart", args=[analysis.pk])).status_code == 404


def test_the_audit_log_is_listed_without_a_count(boss: Client, bought: Told) -> None:
    assert Event.objects.count() == AuditHead.objects.get().seq
    with CaptureQueriesContext(connection) as captured:
        page = boss.get(url_of(Event, "changelist"))
    assert page.context["cl"].result_count == min(50, Event.objects.count())
    assert not [query["sql"] for query in captured if "COUNT(" in query["sql"] and "audit_event" in query["sql"]]


def test_dates_of_plain_fields_are_written_like_all_others(boss: Client, bought: Told) -> None:
    version = bought.execution.workflow_version
    page = boss.get(url_of(WorkflowVersion, "change", version.pk)).content.decode()
    assert version.published_at is not None
    assert version.published_at.strftime("%Y-%m-%d %H:%M:%S UTC") in page


def test_the_ledgers_are_kept_apart(bought: Told) -> None:
    seen = overview(bought.decision.at)
    assert (seen.open_orders, seen.open_trades, seen.counted.allowed) == (2, 1, 1)
    Account.objects.filter(pk="DU1234567").update(kind=AccountKind.REPLAY)
    replay = overview(bought.decision.at)
    assert (replay.open_orders, replay.open_trades) == (0, 0)
    assert [ledger.open_trades for ledger in replay.ledgers] == [1]


def test_the_executions_of_the_cycles_shown_alone_are_counted(bought: Told) -> None:
    cycles = [cycle_queue(strategies=[bought.execution.strategy], trigger="manual", actor="ann") for _ in range(7)]
    bought.execution.__class__.objects.filter(cycle=cycles[-1]).update(state="FAILED")
    with CaptureQueriesContext(connection) as counted:
        seen = overview(bought.decision.at).cycles
    assert [cycle.pk for cycle in seen] == [cycle.pk for cycle in cycles[:0:-1]]
    newest: Any = seen[0]
    assert (newest.work, newest.failed, newest.ordered) == (cycles[-1].executions.count(), newest.work, 0)
    (joined,) = (query["sql"] for query in counted if "workflowexecution" in query["sql"])
    assert f"IN ({', '.join(str(cycle.pk) for cycle in cycles[:0:-1])})" in joined


def test_an_exit_that_moved_a_leg_shows_that_leg(boss: Client, bought: Told) -> None:
    sold = tell("refused")
    target = bought.orders[2]
    OrderChange.objects.create(
        order=target,
        decision=sold.decision,
        revision=1,
        limit_price="388.5",
        state="ACKED",
        created_at=sold.decision.at,
    )
    page = boss.get(url_of(Decision, "change", sold.decision.pk)).content.decode()
    assert f"This decision moved {target.order_ref} to 388.50 (revision 1)" in page
    assert url_of(Order, "change", target.pk) in page
