"""The admin as a console: its first page tells how the machine is, long lists stay fast, rows are acted on and
exported."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
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
from autotrader.core.exports import cell
from autotrader.core.ops import beats
from research.models import ModelBudget
from tests.days import on_one_day
from tests.support import ROOT, eventually
from tests.trading_admin.conftest import boss as boss
from tests.trading_admin.conftest import bought as bought
from tests.trading_admin.conftest import login as login
from tests.trading_admin.story import Told, tell
from trading.models import Cycle, Decision, Order, Reconciliation, Strategy
from trading.services.cycles import cycle_queue
from trading.services.demo import demo_seed

pytestmark = pytest.mark.django_db
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


def first_page_of_a_bad_day(client: Client) -> Any:
    """A model was paid and an execution failed today."""
    ModelBudget.objects.create(scope=f"day:{system_now():%Y-%m-%d}", committed=Decimal("1.25"))
    with audit.acting(actor="worker"), audit.recording():
        audit.record(EventType.EXECUTION_FAILED, "execution:7", version=1, cause="<b>boom</b>")
    return client.get(reverse("admin:index"))


def test_the_first_page_tells_how_the_machine_is(boss: Client) -> None:
    page = on_one_day(lambda: first_page_of_a_bad_day(boss))
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


BEATS = "import sys, time; from pathlib import Path; from autotrader.core.ops import beats; beats.start(sys.argv[1], Path(sys.argv[2])); time.sleep(600)"  # noqa: E501
PROCESSES = ("web", "work", "now", "broker")


@pytest.fixture
def living(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """A process of each name that shows its life as ours do; one that is not given the processor lives too."""
    monkeypatch.setattr(beats, "SILENT", 600.0)
    place = tmp_path / "beats"
    made = {name: subprocess.Popen([sys.executable, "-c", BEATS, name, str(place)], cwd=ROOT) for name in PROCESSES}
    try:
        eventually(lambda: all(beat.running for beat in beats.processes(PROCESSES, place)), 120)
        yield made
    finally:
        for process in made.values():
            process.kill()
            process.wait()


def states_shown(client: Client) -> dict[str, str]:
    """What the first page says of each process."""
    page = client.get(reverse("admin:index")).content.decode()
    items = page.split('aria-label="Processes"')[1].split("</ul>")[0].split("<li>")[1:]
    return {item.split("<strong>")[1].split("<")[0]: item for item in items}


@pytest.mark.timeout(240)
def test_the_first_page_names_each_process_that_was_killed(
    boss: Client, living: dict[str, subprocess.Popen[bytes]]
) -> None:
    shown = states_shown(boss)
    for name, process in living.items():
        assert f"pid {process.pid}" in shown[name]
    for name, process in living.items():
        process.kill()
        process.wait()
        shown = states_shown(boss)
        assert "not running" in shown[name]
        assert "last seen" in shown[name]
    assert all("not running" in shown[name] for name in PROCESSES)
    assert "unavailable" in shown["connection to the broker"]


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
    assert asked() <= INDEX_QUERIES  # trades that have changed are counted anew, once
    assert asked() == few <= INDEX_QUERIES


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
    seen = {f"seen-{strategy.pk}": strategy.version}
    for key in (KEY, KEY, str(uuid.uuid4())):
        client.post(path, select("copy", strategy, confirmed="yes", key=key, **seen))
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
