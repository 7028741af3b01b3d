"""The admin as a console: its first page tells how the machine is, long lists stay fast, rows are acted on and
exported."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import Event
from autotrader.core.clock import system_now
from research.models import ModelBudget
from tests.trading_admin.conftest import boss as boss
from tests.trading_admin.conftest import bought as bought
from tests.trading_admin.conftest import login as login
from tests.trading_admin.story import Told, tell
from trading.admin.kit_export import MOST_ROWS, cell
from trading.models import Account, Cycle, Decision, Instrument, Order, Reconciliation, Strategy
from trading.services.cycles import cycle_queue
from trading.services.demo import demo_seed

pytestmark = pytest.mark.django_db
MANY = 20_000
BORN = datetime(2024, 1, 2, tzinfo=UTC)
KEY = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
INDEX_QUERIES = 30
COMPARING = ("trading.view_reconciliation", "trading.resolve_discrepancy")


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, settings: Any) -> None:
    settings.AUTOTRADER_STATE_DIR = tmp_path


def changelist(name: str) -> str:
    return reverse(f"admin:{name}_changelist")


def said(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def select(action: str, *rows: Any, **more: Any) -> dict[str, Any]:
    return {"action": action, "_selected_action": [row.pk for row in rows], **more}


def numbers_of(answer: Any) -> list[int]:
    return [row.pk for row in answer.context["cl"].result_list]


# The first page


def test_the_first_page_tells_how_the_machine_is(boss: Client) -> None:
    ModelBudget.objects.create(scope=f"day:{system_now():%Y-%m-%d}", committed=Decimal("1.25"))
    with audit.acting(actor="worker"), audit.recording():
        audit.record(EventType.EXECUTION_FAILED, "execution:7", version=1, cause="<b>boom</b>")
    page = boss.get(reverse("admin:index"))
    shown = page.content.decode()
    for words in (
        "not running",
        "never seen",
        "unavailable",
        "1.25 USD",
        "Waiting in the lane work",
        "Executions failed",
    ):
        assert words in shown
    listed = f"{changelist('audit_event')}?type__exact=EXECUTION_FAILED&amp;at__gte="
    address = shown.split(listed)[1].split('"')[0].replace("&amp;", "&")
    found = boss.get(f"{changelist('audit_event')}?type__exact=EXECUTION_FAILED&at__gte={address}")
    assert [row.subject for row in found.context["cl"].result_list] == ["execution:7"]
    assert "&lt;b&gt;boom" in found.content.decode()


def test_without_the_right_to_see_decisions_there_is_no_machine(login: Any, client: Client) -> None:
    page = login("trading.view_instrument").get(reverse("admin:index"))
    assert page.context["machine"] is None
    assert "The machine" not in page.content.decode()
    assert client.get(reverse("admin:index")).status_code == 302


def test_money_and_events_are_shown_to_those_who_may_see_them(login: Any) -> None:
    with audit.acting(actor="worker"), audit.recording():
        audit.record(EventType.STEP_FAILED, "step:7.1", version=1)
    shown = login("trading.view_decision").get(reverse("admin:index")).content.decode()
    assert "Steps failed" in shown
    assert "type__exact=STEP_FAILED" not in shown
    assert "Model calls today" not in shown


def test_the_first_page_asks_a_fixed_number_of_questions(boss: Client, bought: Told) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert boss.get(reverse("admin:index")).status_code == 200
        return len(captured)

    asked()
    few = asked()
    for kind, symbol in (("refused", "SPY"), ("hold", "IBM"), ("buy", "SPY")):
        tell(kind, symbol)
    assert asked() == few <= INDEX_QUERIES


# Long lists


@pytest.fixture
def many_orders(db: None) -> list[Order]:
    account = Account.objects.create(id="DU1", kind="PAPER", base_currency="USD", created_at=BORN)
    instruments = [Instrument.objects.create(symbol=f"S{number}") for number in range(40)]
    rows = [
        Order(
            account=account,
            instrument=instruments[number % 40],
            group=f"G{number}",
            order_ref=f"G{number}-E",
            role="entry",
            side="BUY",
            quantity=1,
            order_type="LMT",
            tif="DAY",
            state="CANCELLED",
            created_at=BORN + timedelta(minutes=number),
            market_at=BORN,
        )
        for number in range(MANY)
    ]
    made = Order.objects.bulk_create(rows, batch_size=500)
    _analyze()
    return made


@pytest.fixture
def many_events(db: None) -> None:
    Event.objects.bulk_create(
        [
            Event(
                seq=number,
                at=BORN + timedelta(seconds=number),
                type="STEP_DONE",
                actor="w",
                subject=f"step:{number}",
                correlation_id=f"c{number}",
                subject_version=1,
                previous_hash="0",
                hash="0",
            )
            for number in range(1, MANY + 1)
        ],
        batch_size=500,
    )
    _analyze()


def _analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def read(client: Client, path: str, table: str) -> list[str]:
    """The SELECTs over the table that the page makes."""
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return [query["sql"] for query in captured if f'FROM "{table}"' in query["sql"]]


def plan_of(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{sql}")
        return "\n".join(str(row) for row in cursor.fetchall())


def scans(plan: str, table: str) -> bool:
    """Whether every row of the table is read."""
    if connection.vendor == "postgresql":
        return f"Seq Scan on {table}" in plan
    whole = [line for line in plan.splitlines() if f"SCAN {table}" in line]
    # Backwards along the key until the page is full is no reading of all: a sort would be.
    return bool(whole) and ("TEMP B-TREE" in plan or "WHERE" in plan)


ORDERS = (
    "", "?older=9000", "?newer=9000", "?q=G77", "?q=S7", "?q=G77-E", "?q=nothing", "?q=1234", "?state__exact=CANCELLED",
)  # fmt: skip
EVENTS = ("", "?older=9000", "?q=c77", "?q=step:77", "?type__exact=STEP_DONE", "?q=nothing")


def test_a_long_list_of_orders_is_not_counted_and_read_by_an_index(boss: Client, many_orders: list[Order]) -> None:
    for asked in ORDERS:
        for sql in read(boss, changelist("trading_order") + asked, "trading_order"):
            assert "COUNT(" not in sql
            assert "LIMIT" in sql
            assert not scans(plan_of(sql), "trading_order"), sql
    export_is_read_in_parts(boss)
    first, second = walk_to_older_and_back(boss)
    assert second == [key - 50 for key in first]
    last = boss.get(changelist("trading_order"), {"older": min(order.pk for order in many_orders) + 3})
    assert len(numbers_of(last)) == 3
    assert not last.context["cl"].older_url


def walk_to_older_and_back(boss: Client) -> tuple[list[int], list[int]]:
    """The keys of the first two pages; back on the first, there is nothing newer."""
    path = changelist("trading_order")
    first = boss.get(path)
    keys = numbers_of(first)
    assert len(keys) == 50
    assert keys == sorted(keys, reverse=True)
    assert not first.context["cl"].newer_url
    second = boss.get(path + first.context["cl"].older_url)
    back = boss.get(path + second.context["cl"].newer_url)
    assert numbers_of(back) == keys
    assert not back.context["cl"].newer_url
    return keys, numbers_of(second)


def export_is_read_in_parts(boss: Client) -> None:
    """Every row once, and never by OFFSET."""
    with CaptureQueriesContext(connection) as captured:
        rows = rows_of(boss.get(changelist("trading_order"), {"_export": "csv"}))
    assert len(rows) == MANY + 1 <= MOST_ROWS
    assert len({row[0] for row in rows}) == MANY + 1
    parts = [query["sql"] for query in captured if 'FROM "trading_order"' in query["sql"]]
    assert all("OFFSET" not in sql and "LIMIT" in sql for sql in parts)


def test_a_long_log_is_not_counted_and_read_by_an_index(boss: Client, many_events: None) -> None:
    for asked in EVENTS:
        for sql in read(boss, changelist("audit_event") + asked, "audit_event"):
            assert "COUNT(" not in sql
            assert "DISTINCT" not in sql
            assert not scans(plan_of(sql), "audit_event"), sql


def test_a_place_that_is_none_begins_anew(boss: Client, bought: Told) -> None:
    for place in ("x", "-1", "9" * 5000, "½"):
        assert boss.get(changelist("trading_order"), {"older": place})["Location"].endswith("?e=1")


def test_a_filter_begins_at_the_newest_row(boss: Client, bought: Told) -> None:
    page = boss.get(changelist("trading_order"), {"older": "2", "role__exact": "entry"})
    assert "older=2" not in page.context["cl"].get_query_string({"role__exact": "stop"})


def test_rows_are_found_by_symbol_reference_and_correlation_id(boss: Client, bought: Told) -> None:
    tell("hold", "IBM")
    order, cycle = bought.orders[0], bought.execution.cycle
    correlation = bought.execution.correlation_id
    for words in ("aapl", order.order_ref, order.group, correlation, cycle.correlation_id, f"AAPL {order.group}"):
        orders = numbers_of(boss.get(changelist("trading_order"), {"q": words}))
        assert order.pk in orders, words
        assert numbers_of(boss.get(changelist("trading_decision"), {"q": words})) == [bought.decision.pk], words
    for words in ("AAPL", order.order_ref, correlation, f"order:{order.order_ref}"):
        found = boss.get(changelist("audit_event"), {"q": words}).context["cl"].result_list
        assert found, words
    assert numbers_of(boss.get(changelist("trading_trade"), {"q": order.order_ref}))
    assert numbers_of(boss.get(changelist("trading_fill"), {"q": order.group}))
    assert numbers_of(boss.get(changelist("trading_steprun"), {"q": correlation}))
    for name in ("trading_order", "audit_event", "trading_decision", "trading_fill", "trading_cycle"):
        assert not numbers_of(boss.get(changelist(name), {"q": "no-such' \" % thing"}))


# Export


def rows_of(answer: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_the_filtered_list_is_exported(boss: Client, bought: Told) -> None:
    page = boss.get(changelist("trading_order"), {"role__exact": "entry"})
    answer = boss.get(changelist("trading_order") + page.context["cl"].export_url)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="order-')
    head, *rows = rows_of(answer)
    entry = next(order for order in bought.orders if order.role == "entry")
    assert [row[head.index("order_ref")] for row in rows] == [entry.order_ref]
    assert rows[0][head.index("instrument__symbol")] == "AAPL"
    assert Decimal(rows[0][head.index("quantity")]) == entry.quantity


def test_the_chosen_rows_are_exported(login: Any, bought: Told) -> None:
    chosen = bought.orders[:2]
    answer = login("trading.view_order").post(changelist("trading_order"), select("export_chosen", *chosen, index=0))
    assert {row[1] for row in rows_of(answer)[1:]} == {order.order_ref for order in chosen}


def test_an_export_is_for_those_who_may_see_the_rows(login: Any, client: Client, bought: Told) -> None:
    path = changelist("trading_order") + "?_export=csv"
    assert login("trading.view_decision").get(path).status_code == 403
    assert client.get(path).status_code == 302


def test_no_cell_is_a_formula(boss: Client, bought: Told) -> None:
    Order.objects.filter(role="entry").update(reason='=HYPERLINK("http://x","y")')
    head, *rows = rows_of(boss.get(changelist("trading_order"), {"_export": "csv", "role__exact": "entry"}))
    assert rows[0][head.index("reason")] == '\'=HYPERLINK("http://x","y")'


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@x", "'@x"), ("\t=1", "'\t=1"), ("\r=1", "'\r=1"),
        ("plain", "plain"), (Decimal("-1.50"), "-1.50"), (-2, -2), (None, None), (BORN, "2024-01-02T00:00:00+00:00"),
    ],
)  # fmt: skip
def test_numbers_stay_numbers_and_texts_texts(value: object, told: object) -> None:
    assert cell(value) == told


# Actions


@pytest.fixture
def strategy(db: None) -> Strategy:
    return demo_seed()


def test_a_strategy_is_disabled_and_enabled_after_a_question(login: Any, strategy: Strategy) -> None:
    client, path = login("trading.view_strategy", "trading.change_strategy"), changelist("trading_strategy")
    page = client.post(path, select("disable", strategy, index=0))
    assert "Disable these strategies?" in page.content.decode()
    assert Strategy.objects.get().enabled
    yes = {"confirmed": "yes", "key": KEY, f"seen-{strategy.pk}": strategy.version}
    client.post(path, select("disable", strategy, **yes))
    assert not Strategy.objects.get().enabled
    strategy.refresh_from_db()
    event = Event.objects.filter(type="STRATEGY_CHANGED").first()
    assert event is not None
    assert (event.cause, event.actor[:5]) == ("changed: enabled", "staff")
    stale = client.post(path, select("enable", strategy, **yes))
    assert "by now; read it again" in said(stale)
    client.post(path, select("enable", strategy, **yes | {f"seen-{strategy.pk}": strategy.version}))
    assert Strategy.objects.get().enabled


def test_actions_are_for_those_who_may(login: Any, strategy: Strategy) -> None:
    client = login("trading.view_strategy")
    page = client.get(changelist("trading_strategy")).content.decode()
    assert "Disable…" not in page
    assert "Copy…" not in page
    yes = {"confirmed": "yes", "key": KEY, f"seen-{strategy.pk}": strategy.version}
    for action in ("disable", "copy", "run_now"):
        client.post(changelist("trading_strategy"), select(action, strategy, **yes))
    strategy.refresh_from_db()
    assert strategy.enabled
    assert Strategy.objects.count() == 1
    assert not Cycle.objects.exists()


def test_a_copy_is_disabled_and_asks_for_approval_where_one_may_not_loosen(login: Any, strategy: Strategy) -> None:
    Strategy.objects.update(mode="auto", allow_short=True)
    client, path = login("trading.view_strategy", "trading.add_strategy"), changelist("trading_strategy")
    for _ in range(2):
        client.post(path, select("copy", strategy, confirmed="yes", key=KEY))
    copies = list(Strategy.objects.exclude(pk=strategy.pk).order_by("pk"))
    assert [row.name for row in copies] == [f"{strategy.name} copy", f"{strategy.name} copy 2"]
    for row in copies:
        assert (row.enabled, row.mode, row.allow_short) == (False, "approve", False)
        assert row.parameters == strategy.parameters
        assert list(row.instruments.all()) == list(strategy.instruments.all())


def test_cycles_are_cancelled_with_a_reason(login: Any, strategy: Strategy) -> None:
    cycle = cycle_queue(strategies=[strategy], trigger="manual", actor="anna", wake=False)
    client, path = login("trading.view_cycle", "trading.run_cycle"), changelist("trading_cycle")
    page = client.post(path, select("cancel_chosen", cycle, index=0)).content.decode()
    assert "Cancel these cycles?" in page
    client.post(path, select("cancel_chosen", cycle, confirmed="yes", key=KEY, reason=""))
    assert Cycle.objects.get().state == "QUEUED"
    client.post(path, select("cancel_chosen", cycle, confirmed="yes", key=KEY, reason="a wrong list"))
    assert Cycle.objects.get().state == "CANCELLED"
    assert "a wrong list" in Cycle.objects.get().reason
    again = client.post(path, select("cancel_chosen", cycle, confirmed="yes", key=KEY, reason="a wrong list"))
    assert "has ended" in said(again)


def test_stops_are_not_cancelled_from_the_list(login: Any, bought: Told) -> None:
    client, path = login("trading.view_order", "trading.request_order"), changelist("trading_order")
    stop, target = Order.objects.get(role="stop"), Order.objects.get(role="target")
    assert "Left out" in said(client.post(path, select("cancel_chosen", stop, index=0)))
    page = client.post(path, select("cancel_chosen", target, index=0)).content.decode()
    assert f"{target.order_ref}: SELL" in page
    failed = client.post(path, select("cancel_chosen", target, confirmed="yes", key=KEY, reason="not wanted"))
    assert said(failed)
    assert Order.objects.get(role="target").cancel_requested_at is None


def test_comparing_needs_the_permission_and_a_broker(login: Any, bought: Told) -> None:
    looked = {"at": BORN, "market_at": BORN, "orders": 0, "executions": 0, "positions": 0}
    row = Reconciliation.objects.create(account_id="DU1234567", **looked)
    path, yes = changelist("trading_reconciliation"), {"confirmed": "yes", "key": KEY}
    reader, operator = login("trading.view_reconciliation"), login(*COMPARING)
    assert "Compare with the broker" not in reader.get(path).content.decode()
    assert "nothing is concluded" in said(operator.post(path, select("compare_now", row, **yes)))
    assert "nothing is concluded" not in said(reader.post(path, select("compare_now", row, **yes)))


def test_what_is_asked_about_is_escaped(login: Any, strategy: Strategy) -> None:
    Strategy.objects.update(name="<script>alert(1)</script>")
    client = login("trading.view_strategy", "trading.change_strategy")
    page = client.post(changelist("trading_strategy"), select("disable", strategy, index=0)).content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_too_many_at_once_are_refused(boss: Client, strategy: Strategy) -> None:
    Cycle.objects.bulk_create(
        Cycle(trigger="manual", requested_by="x", correlation_id=f"c{number}", created_at=BORN) for number in range(51)
    )
    answer = boss.post(changelist("trading_cycle"), select("cancel_chosen", *Cycle.objects.all(), index=0))
    assert "at most 50" in said(answer)


def test_history_is_changed_by_nobody(boss: Client, bought: Told) -> None:
    for name in ("trading_order", "trading_decision", "audit_event", "trading_fill"):
        assert boss.get(reverse(f"admin:{name}_add")).status_code == 403
    assert boss.post(reverse("admin:trading_decision_change", args=[bought.decision.pk]), {}).status_code == 403
    assert Decision.objects.count() == 1
