"""The desk's page: live numbers with their source, what runs, what waits, and only what one may see."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from autotrader.core.clock import system_now
from autotrader.core.users.models import User
from broker import types
from broker.gates import HaltState
from tests.api.test_orders import Api, entry, legs_of
from tests.desk.conftest import Desk, bars_folder, open_desk
from tests.desk.conftest import desk as desk
from tests.trading.asking import asked
from tests.trading.builders import ACCOUNT, CON_IDS, NOW, D, bought, report, status, strategy, summary
from trading.models import Account, Cycle, Discrepancy, Instrument, Order, Strategy, Trade
from trading.services import dispatch_work
from trading.services.accounts import account_ensure
from trading.services.halts import halt
from trading.web import numbers
from trading.web.desk import PANELS
from trading.web.numbers import Told

__all__ = ["bars_folder", "desk", "open_desk"]
pytestmark = pytest.mark.django_db

VIEWER = (
    "trading.view_account",
    "trading.view_order",
    "trading.view_cycle",
    "trading.view_approval",
    "trading.view_discrepancy",
    "audit.view_event",
)
EVIL = "<script>alert(1)</script>"
Tell = Callable[[Told], None]


def person(*permissions: str) -> Client:
    """A client of somebody with these permissions."""
    user = User.objects.create_user(f"p{User.objects.count()}", password="x")
    for name in permissions:
        app, codename = name.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Let the broker say this from now on."""

    def say(told: Told) -> None:
        monkeypatch.setattr(numbers, "_ask", lambda: told)
        monkeypatch.setattr(numbers.NUMBERS, "_until", float("-inf"))

    say(Told(problem="no owner answers"))
    return say


def position(symbol: str = "AAPL", quantity: str = "10", con_id: int | None = None, **changes: Any) -> types.Position:
    held = types.Position(
        account=ACCOUNT, con_id=con_id or CON_IDS[symbol], symbol=symbol, quantity=D(quantity), average_cost=D("100.1"),
        market_price=D("112.34"), market_value=D("1123.40"), unrealized_pnl=D("122.40"), realized_pnl=D(0),
    )  # fmt: skip
    return replace(held, **changes)


def pnl(*held: types.Position) -> types.ProfitAndLoss:
    parts = tuple(
        types.PositionPnl(one.con_id, one.symbol, one.quantity, D("7.5"), one.unrealized_pnl, D(0), one.market_value)
        for one in held
    )
    return types.ProfitAndLoss(ACCOUNT, D("-45.60"), D("122.40"), D("33.10"), parts, NOW)


def told(*held: types.Position, orders: tuple[types.OrderReport, ...] = (), **changes: Any) -> Told:
    """A broker that is ready and answers everything."""
    return replace(Told(status(), summary("123456.78"), held, orders, pnl(*held)), **changes)


def text_of(answer: Any) -> str:
    """What a person reads on it, without tags."""
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


# Who sees what


def test_who_is_not_logged_in_is_sent_to_the_login(tell: Tell) -> None:
    assert Client().get("/desk/")["Location"].startswith("/login/?next=")
    assert Client().get("/")["Location"] == "/desk/"
    part = Client().get("/desk/account/", headers={"HX-Request": "true"})
    assert (part.status_code, part["HX-Redirect"]) == (204, "/login/")


def test_who_may_see_nothing_of_it_is_refused(tell: Tell) -> None:
    stranger = person()
    assert stranger.get("/desk/").status_code == 403
    refused = {panel.name for panel in PANELS if stranger.get(panel.url).status_code == 403}
    assert refused == {panel.name for panel in PANELS} - {"halt"}


def test_each_sees_the_panels_that_they_may(tell: Tell) -> None:
    page = person("trading.view_cycle").get("/desk/")
    shown = re.findall(r'id="desk-(\w+)"', page.content.decode())
    assert shown == ["halt", "cycles"]
    assert "data-lines" not in page.content.decode()
    page = person(*VIEWER).get("/desk/")
    shown = re.findall(r'id="desk-(\w+)"', page.content.decode())
    assert sorted(shown) == sorted([*(panel.name for panel in PANELS), "events"])


def test_only_get(tell: Tell) -> None:
    client = person(*VIEWER)
    assert {client.post(url).status_code for url in ("/desk/", *(panel.url for panel in PANELS))} == {405}


# The whole page


def test_an_empty_desk_says_what_to_do_next(tell: Tell) -> None:
    tell(told())
    text = text_of(person(*VIEWER).get("/desk/"))
    for sentence in (
        "The account holds nothing.",
        "No order works at the broker.",
        "No cycle has run.",
        "No order waits for a person.",
        "our records and the broker’s book agree",
    ):
        assert sentence in text


def test_without_a_broker_live_numbers_are_unavailable_and_the_rest_is_there(tell: Tell) -> None:
    bought()
    answer = person(*VIEWER).get("/desk/")
    text = text_of(answer)
    for name in ("account", "positions", "orders", "gateway"):
        part = re.search(rf'id="desk-{name}".*?</section>', answer.content.decode(), re.DOTALL)
        assert part is not None
        assert "unavailable" in part[0]
        assert "no owner answers" in part[0]
        assert "web-live" not in part[0]
        assert "<td" not in part[0]
    assert "History, by our records: 2 orders were at the broker" in text
    assert "Trading is ACTIVE" in text
    assert "1 of 1" not in text  # the cycle's execution has not ended
    assert "0 of 1" in text


def test_a_page_does_not_wait_for_a_slow_broker(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(numbers, "_ask", lambda: told(position()) if let_go.wait(60) else Told(problem="never"))
    monkeypatch.setattr(numbers.NUMBERS, "_until", float("-inf"))
    monkeypatch.setattr("trading.web.desk.SOON_S", 0.01)
    viewer = person(*VIEWER)
    page = viewer.get("/desk/")
    text = text_of(page)
    assert text.count("The broker is being asked; its answer appears here by itself.") == 4
    assert not re.search(r"unavailable|History, by our records|112\.34|The account holds nothing|No order works", text)
    asks_again = set(re.findall(r'id="desk-(\w+)"[^>]*hx-trigger="load, poke"', page.content.decode()))
    assert asks_again == {"account", "gateway", "positions", "orders", "approvals"}
    let_go.set()
    assert "112.34" in text_of(viewer.get("/desk/positions/", headers={"HX-Request": "true"}))
    again = viewer.get("/desk/")
    assert "112.34" in text_of(again)
    assert not re.search(r'id="desk-\w+"[^>]*hx-trigger="load', again.content.decode())


def test_a_gateway_that_is_not_ready_says_why(tell: Tell) -> None:
    waiting = status(
        ready=False, connected=False, reason="not logged in", phase="needs_person", action="Log in to TWS."
    )
    tell(Told(waiting, problem="The broker is not ready: not logged in."))
    text = text_of(person(*VIEWER).get("/desk/"))
    assert "needs person" in text
    assert "not ready : not logged in" in text
    assert "Log in to TWS." in text


def test_every_panel_answers_with_its_inner_part(tell: Tell) -> None:
    tell(told(position()))
    client = person(*VIEWER)
    page = client.get("/desk/").content.decode()
    for panel in PANELS:
        answer = client.get(panel.url)
        assert answer.status_code == 200
        assert answer["Cache-Control"] == "no-store"
        assert "<section" not in answer.content.decode()
        assert "<html" not in answer.content.decode()
        assert f'hx-get="{panel.url}"' in page


def test_the_page_goes_on_from_the_last_event(tell: Tell) -> None:
    bought()
    answer = person(*VIEWER).get("/desk/")
    lines = answer.context["lines"]
    assert 0 < len(lines) <= 30
    assert answer.context["after"].seq == lines[0].seq
    assert lines[0].html in answer.content.decode()


# Live numbers


def test_a_real_broker_s_word_is_shown(desk: Desk, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers.NUMBERS, "_until", float("-inf"))
    monkeypatch.setattr(dispatch_work, "WORD_S", 60)  # however busy the machine, the broker's word is heard
    assert Api("trading.request_order").post("place", entry(desk, "GAPS")).status_code == 201
    order = legs_of()["entry"]
    answer = person(*VIEWER, "trading.request_order").get("/desk/")
    text = text_of(answer)
    assert answer.context["told"].is_live, answer.context["told"].problem
    assert f"Account {desk.account} live from the broker: values at" in text
    assert "Net liquidation 1,000,000.00 USD" in text
    assert "BUY 10 GAPS" in text
    assert f"/orders/{order.order_ref}/cancel/" in answer.content.decode()
    assert answer.context["orders"][0].row == order


def test_the_account_is_told_with_its_source_and_time(tell: Tell) -> None:
    values_at, results_at = system_now() - timedelta(minutes=2), system_now() - timedelta(seconds=20)
    said = told(position())
    assert said.account is not None
    assert said.pnl is not None
    tell(
        replace(
            said,
            account=replace(said.account, received_at=values_at),
            pnl=replace(said.pnl, received_at=results_at),
        )
    )
    answer = person(*VIEWER).get("/desk/account/")
    text = text_of(answer)
    source = f"live from the broker: values at {values_at:%H:%M:%S} UTC , results at {results_at:%H:%M:%S} UTC"
    for shown in ("Net liquidation 123,456.78 USD", "-45.60", "+122.40", "+33.10", source):
        assert shown in text
    assert f'data-age datetime="{values_at.isoformat()}"' in answer.content.decode()
    assert "not renewed" not in text
    tell(told(position(), pnl=None))
    assert text_of(person(*VIEWER).get("/desk/account/")).count("not told") == 2


def test_a_number_that_is_older_than_it_should_be_says_so(tell: Tell) -> None:
    old = system_now() - timedelta(minutes=5, seconds=30)
    said = told(position(received_at=system_now(), priced_at=old), position("IBM", priced_at=system_now()))
    assert said.account is not None
    tell(replace(said, account=replace(said.account, received_at=old)))
    client = person(*VIEWER)
    assert "not renewed for 5 min: TWS renews them every 3 minutes" in text_of(client.get("/desk/account/"))
    page = client.get("/desk/positions/")
    assert f'prices at <time class="web-age" data-age datetime="{old.isoformat()}">' in page.content.decode()
    assert "not renewed for 5 min" in text_of(page)
    assert "not renewed" not in text_of(client.get("/desk/orders/"))


def test_positions_name_who_holds_them_and_are_summed(tell: Tell) -> None:
    bought(strategy("alpha"))
    tell(told(position(), position("IBM", "-5", market_value=D("-1000"), unrealized_pnl=D("-22.40"))))
    answer = person(*VIEWER).get("/desk/positions/")
    table = answer.context["table"]
    assert [(line.symbol, [holder.name for holder in line.holders]) for line in table.lines] == [
        ("AAPL", ["alpha"]),
        ("IBM", []),
    ]
    assert [(one.value, one.open_pnl, one.day_pnl) for one in table.sums] == [(D("123.40"), D(100), D(15))]
    text = text_of(answer)
    assert "no open trade of ours" in text
    assert "112.34" in text


def test_a_sum_without_one_of_its_parts_is_not_told(tell: Tell) -> None:
    tell(told(position(), position("IBM", market_value=None), position("SPY", currency="EUR")))
    sums = person(*VIEWER).get("/desk/positions/").context["table"].sums
    assert [(one.currency, one.value) for one in sums] == [("EUR", D("1123.40")), ("USD", None)]


def test_working_orders_are_joined_to_our_rows(tell: Tell) -> None:
    _, stop, target = bought(strategy("alpha"))
    foreign = replace(report(stop, "Submitted"), order_ref="", perm_id=77, symbol="ZZZ", origin="manual")
    tell(told(orders=(report(stop, "PreSubmitted"), report(target, "Submitted"), foreign)))
    answer = person(*VIEWER, "trading.request_order").get("/desk/orders/")
    assert [(line.row and line.row.role, line.is_external) for line in answer.context["orders"]] == [
        ("stop", False),
        ("target", False),
        (None, True),
    ]
    page = answer.content.decode()
    assert "alpha" in page
    assert "external" in page
    assert re.findall(r"/orders/(\S+)/cancel/", page) == [stop.order_ref, target.order_ref]
    assert "/cancel/" not in person(*VIEWER).get("/desk/orders/").content.decode()


def test_a_second_order_under_our_reference_is_not_taken_for_ours(tell: Tell) -> None:
    _, stop, _ = bought()
    tell(told(orders=(replace(report(stop, "Submitted"), perm_id=5),)))
    answer = person(*VIEWER, "trading.request_order").get("/desk/orders/")
    (line,) = answer.context["orders"]
    assert line.is_external
    assert f"uses the reference of {stop.order_ref}" in text_of(answer)
    assert "/cancel/" not in answer.content.decode()


def test_an_order_that_has_ended_by_our_records_is_named(tell: Tell) -> None:
    _, stop, _ = bought()
    Order.objects.filter(pk=stop.pk).update(state="CANCELLED")
    tell(told(orders=(report(stop, "Submitted"),)))
    assert "has ended by our records" in text_of(person(*VIEWER).get("/desk/orders/"))


# What runs, and what waits


def test_a_cycle_shows_how_far_it_is(tell: Tell) -> None:
    bought()
    answer = person(*VIEWER).get("/desk/cycles/")
    (line,) = answer.context["cycles"]
    assert (line.total, line.ended, line.is_running) == (1, 0, True)
    assert '<progress value="0" max="1"' in answer.content.decode()
    Cycle.objects.update(state="DONE")
    line.cycle.executions.update(state="DONE", outcome="ordered")
    (line,) = person(*VIEWER).get("/desk/cycles/").context["cycles"]
    assert (line.ended, line.ordered, line.is_running) == (1, 1, False)


def test_an_approval_counts_down_by_the_market_s_clock(tell: Tell) -> None:
    approval = asked()
    tell(told())
    answer = person(*VIEWER).get("/desk/approvals/")
    assert f'href="/approvals/{approval.pk}/"' in answer.content.decode()
    assert "BUY 10 AAPL" in text_of(answer)
    assert "600 s" in text_of(answer)
    assert "data-until" not in answer.content.decode()  # a set clock stands still
    tell(told(status=status(clock="system")))
    assert "data-until" in person(*VIEWER).get("/desk/approvals/").content.decode()
    tell(Told(problem="no owner answers"))
    assert "unavailable" in text_of(person(*VIEWER).get("/desk/approvals/"))


def test_the_kill_switch_says_who_and_why_and_offers_what_one_may(tell: Tell) -> None:
    halt(actor="anna", reason="prices look wrong")
    text = text_of(person(*VIEWER).get("/desk/halt/"))
    assert f"Trading is {HaltState.HALTED.value}" in text
    assert "prices look wrong" in text
    assert "by anna" in text
    assert "Halt page" not in text
    assert "Release…" not in text
    assert "Halt page" in text_of(person("trading.halt_trading").get("/desk/halt/"))
    assert "Release…" in text_of(person("trading.release_trading").get("/desk/halt/"))


def test_differences_that_block_are_named(tell: Tell) -> None:
    account = account_ensure(ACCOUNT)
    when = {"first_seen_at": NOW, "last_seen_at": NOW, "market_at": NOW}
    Discrepancy.objects.create(account=account, kind="position", subject="instrument:AAPL", detail="d", **when)
    Discrepancy.objects.create(account=account, kind="cash", subject="cash:USD", detail="d", blocking=False, **when)
    text = text_of(person(*VIEWER).get("/desk/discrepancies/"))
    assert "2 open, 1 blocks new positions" in text
    assert "Position differs, instrument:AAPL" in text
    assert "Cash differs" not in text


# Safety and cost


def test_text_from_outside_is_escaped(tell: Tell) -> None:
    row = strategy("evil")
    _, stop, _ = bought(row)
    Strategy.objects.filter(pk=row.pk).update(name=EVIL)
    account = account_ensure(ACCOUNT)
    Discrepancy.objects.create(
        account=account, kind="cash", subject=EVIL, detail=EVIL, first_seen_at=NOW, last_seen_at=NOW, market_at=NOW
    )
    halt(actor=EVIL, reason=EVIL)
    odd = replace(report(stop, EVIL), symbol=EVIL, order_ref=EVIL, perm_id=4, why_held=EVIL, tif=EVIL, order_type=EVIL)
    said = told(position(symbol="AAPL"), replace(position("IBM"), symbol=EVIL), orders=(report(stop, "Submitted"), odd))
    client = person(*VIEWER, "trading.request_order")
    for answer in (said, replace(said, status=status(reason=EVIL, action=EVIL, account=ACCOUNT)), Told(problem=EVIL)):
        tell(answer)
        page = client.get("/desk/").content.decode()
        assert EVIL not in page
        assert "&lt;script&gt;" in page


def filled(count: int) -> None:
    """So many cycles with a trade, a working order, an approval and a difference each."""
    account, now = Account.objects.get(pk=ACCOUNT), datetime.now(UTC)
    template = Order.objects.get(role="stop")
    for number in range(1, count + 1):
        row, _ = Instrument.objects.get_or_create(symbol=f"S{number}", defaults={"con_id": number})
        Trade.objects.create(
            account=account, strategy=template.strategy, instrument=row, opening_exec_id=f"e{number}", side="long",
            state="OPEN", quantity=10, open_quantity=10, entry_price=100, opened_at=now,
        )  # fmt: skip
        Order.objects.create(
            account=account, strategy=template.strategy, instrument=row, group=f"g{number}", role="stop",
            order_ref=f"g{number}-S", perm_id=number, side="SELL", quantity=10, order_type="STP", tif="GTC",
            state="ACCEPTED", created_at=now, market_at=now,
        )  # fmt: skip
        Cycle.objects.create(
            trigger="manual", state="RUNNING", requested_by="t", correlation_id=f"c{number}", created_at=now
        )
        Discrepancy.objects.create(
            account=account, kind="position", subject=f"instrument:S{number}", instrument=row, detail="d",
            first_seen_at=now, last_seen_at=now, market_at=now,
        )  # fmt: skip


def test_more_rows_cost_no_more_queries(tell: Tell) -> None:
    bought()
    client = person(*VIEWER, "trading.request_order", "trading.halt_trading")

    def queries() -> int:
        held = tuple(replace(position(), con_id=row.con_id, symbol=row.symbol) for row in Instrument.objects.all())
        working = tuple(
            report(row, "Submitted") for row in Order.objects.filter(role="stop").select_related("instrument")
        )
        tell(told(*held, orders=working))
        with CaptureQueriesContext(
            connection,
        ) as counted:
            assert client.get("/desk/").status_code == 200
        return len(counted)

    queries()
    filled(1)
    few = queries()
    for row in (Trade, Discrepancy, Cycle):
        assert row.objects.exists()
    Order.objects.filter(order_ref="g1-S").delete()
    Trade.objects.filter(opening_exec_id="e1").delete()
    Cycle.objects.filter(correlation_id="c1").delete()
    Discrepancy.objects.all().delete()
    filled(20)
    assert queries() == few
    assert few <= 30


def test_a_hundred_positions_are_one_question_to_the_broker(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    held = tuple(position(con_id=number, symbol=f"S{number}") for number in range(1, 101))
    asked_for: list[Decimal] = []

    def ask() -> Told:
        asked_for.append(D(1))
        return told(*held)

    monkeypatch.setattr(numbers, "_ask", ask)
    monkeypatch.setattr(numbers.NUMBERS, "_until", float("-inf"))
    page = person(*VIEWER).get("/desk/").content.decode()
    assert page.count("112.34") == 100
    assert len(asked_for) == 1
