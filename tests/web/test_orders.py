"""Orders on the pages for people: listed, narrowed, explained, ended by who may, and never a script of somebody's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from autotrader.core.audit.models import Event
from autotrader.core.users.models import User
from tests.api.test_orders import Api, entry, legs_of
from tests.desk.conftest import Desk, bars_folder, open_desk
from tests.desk.conftest import desk as desk
from tests.trading.builders import bought, bracket, strategy
from tests.trading_admin.story import tell
from trading.models import Order, OrderChange, OrderRequest
from trading.selectors.pages import orders as selectors
from trading.web.trades import cell

__all__ = ["bars_folder", "desk", "open_desk"]
pytestmark = pytest.mark.django_db
EVIL = "<script>alert(1)</script>"


def person(*permissions: str) -> Client:
    """A client of somebody who is no staff, with these permissions."""
    user = User.objects.create_user(f"user{User.objects.count()}", password="x")
    for name in permissions:
        user.user_permissions.add(Permission.objects.get(codename=name.partition(".")[2]))
    client = Client()
    client.force_login(user)
    return client


def reader() -> Client:
    return person("trading.view_order", "trading.view_trade", "trading.view_decision", "audit.view_event")


def body(answer: Any) -> str:
    assert answer.status_code == 200, answer.status_code
    return str(answer.content.decode())


@pytest.mark.parametrize("name", ["orders", "orders_rows", "orders_csv"])
def test_only_who_may_see_orders_sees_them(name: str) -> None:
    anonymous = Client().get(reverse(name))
    assert anonymous.status_code == 302
    assert anonymous["Location"].startswith(reverse("login"))
    assert person("trading.view_trade").get(reverse(name)).status_code == 403
    assert person("trading.view_order").get(reverse(name)).status_code == 200


def test_without_orders_the_page_says_what_to_do() -> None:
    shown = body(reader().get("/orders/"))
    assert "There is no order yet" in shown
    assert 'data-panel="orders"' in shown


def test_the_list_tells_each_order_and_its_decision() -> None:
    told = tell("buy")
    shown = body(reader().get("/orders/"))
    for order in told.orders:
        assert f'href="/orders/{order.order_ref}/"' in shown
    assert "410" in shown
    assert told.decision.strategy.name in shown
    part = body(reader().get(reverse("orders_rows")))
    assert told.orders[0].order_ref in part
    assert "<html" not in part


def test_filters_narrow_the_list_and_go_along_with_panel_and_file() -> None:
    told = tell("buy")
    client = reader()
    entry, stop, target = told.orders
    account, name = entry.account_id, told.decision.strategy.name
    for query, fits in [
        ("symbol=aapl", True), ("symbol=IBM", False), ("role=entry&symbol=AAPL", True), ("state=REJECTED", False),
        (f"account={account}", True), (f"strategy={name}", True), (f"day={entry.created_at:%Y-%m-%d}", True),
        ("day=2001-01-01", False), ("side=BUY", True),
    ]:  # fmt: skip
        shown = body(client.get(f"/orders/?{query}"))
        assert (entry.order_ref in shown) is fits, query
    shown = body(client.get("/orders/?role=stop"))
    assert stop.order_ref in shown
    assert target.order_ref not in shown
    assert 'hx-get="/panels/orders/?role=stop"' in shown
    assert 'href="/orders.csv?role=stop"' in shown
    assert "No order fits the filters" in body(client.get("/orders/?symbol=IBM"))


def test_rows_alone_are_those_that_the_list_would_show() -> None:
    told = tell("buy")
    entry, stop, target = told.orders
    client = reader()
    path = reverse("orders_rows")
    whole = body(client.get(path))
    part = body(client.get(path, {"only": [stop.order_ref, entry.order_ref, "A0-E", "odd\0key"]}))
    rows = [piece.partition("</tr>")[0] for piece in part.split("<tr ")[1:]]
    assert [f'data-row="{order.order_ref}"' in row for order, row in zip((stop, entry), rows, strict=True)] == [
        True
    ] * 2
    assert all(row in whole for row in rows), "the same row as in the list"
    assert target.order_ref not in part
    name = told.decision.strategy.name
    for query, fits in [
        ("symbol=aapl", True), ("symbol=IBM", False), ("role=stop", False), ("state=FILLED", True),
        ("side=SELL", False), (f"account={entry.account_id}", True), (f"strategy={name}", True),
        ("state=NONSENSE", False),
        (f"day={entry.created_at:%Y-%m-%d}", True), ("day=2001-01-01", False),
    ]:  # fmt: skip
        assert (entry.order_ref in body(client.get(f"{path}?{query}&only={entry.order_ref}"))) is fits, query
    assert body(client.get(path, {"only": "A0-E"})).strip() == ""
    assert body(client.get(path, {"only": [*map(str, range(20)), entry.order_ref]})).strip() == ""
    assert person("trading.view_trade").get(path, {"only": entry.order_ref}).status_code == 403


def test_a_row_is_read_with_the_names_it_shows_and_nothing_else() -> None:
    entry = tell("buy").orders[0]
    with CaptureQueriesContext(connection) as counted:
        assert selectors.orders_among({}, [entry.order_ref])
    (query,) = counted
    assert query["sql"].count(" JOIN ") == 2, "the strategy and the instrument"


def test_who_may_not_see_decisions_gets_a_row_without_a_link_to_one() -> None:
    entry = tell("buy").orders[0]
    asked = {"only": entry.order_ref}
    assert f'href="/decisions/{entry.decision_id}/"' in body(reader().get(reverse("orders_rows"), asked))
    assert "/decisions/" not in body(person("trading.view_order").get(reverse("orders_rows"), asked))


def test_a_row_alone_and_a_renewal_ask_for_no_choices() -> None:
    entry = tell("buy").orders[0]
    client = reader()
    for asked in ({"only": entry.order_ref}, {}):
        with CaptureQueriesContext(connection) as counted:
            assert client.get(reverse("orders_rows"), asked).status_code == 200
        assert len(counted) == 5, [
            query["sql"] for query in counted
        ]  # the session, the person, two of rights, the rows


@pytest.mark.parametrize("query", ["state=NONSENSE", "day=yesterday", "day=9999-12-31", "symbol=%00", "account=x"])
def test_a_wrong_filter_is_said_and_shows_nothing(query: str) -> None:
    told = tell("buy")
    shown = body(reader().get(f"/orders/?{query}"))
    assert "Correct the filters" in shown
    assert told.orders[0].order_ref not in shown
    assert 'data-panel="orders"' not in shown
    assert reader().get(f"/orders.csv?{query}").status_code == 302


def test_older_orders_follow_and_only_the_first_page_renews_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "SHOWN", 2)
    told = tell("buy")
    client = reader()
    first = client.get("/orders/?symbol=AAPL")
    older = first.context["found"].older
    assert [row["order_ref"] for row in first.context["found"].rows] == [row.order_ref for row in told.orders[:0:-1]]
    second = client.get("/orders/", {"symbol": "AAPL", "cursor": older})
    assert [row["order_ref"] for row in second.context["found"].rows] == [told.orders[0].order_ref]
    assert "data-panel" not in body(second).partition("<main")[2]
    wrong = client.get("/orders/?cursor=nonsense", follow=True)
    assert "cursor is none of this list" in body(wrong)


def test_the_list_costs_the_same_for_one_order_and_for_twenty() -> None:
    client = reader()
    row = strategy()

    def queries() -> int:
        with CaptureQueriesContext(connection) as counted:
            assert client.get("/orders/").status_code == 200
        return len(counted)

    bracket(row, quantity="1")
    few = queries()
    for number in range(6):
        bracket(strategy(f"s{number}"), quantity=str(number + 2))
    assert queries() == few


def test_one_order_is_told_with_everything_that_became_of_it() -> None:
    told = tell("buy")
    entry = told.orders[0]
    shown = body(reader().get(f"/orders/{entry.order_ref}/"))
    for part in ("FILLED", "SUBMITTED", "2.05", "0000e0d5", told.orders[1].order_ref, "ORDER FILLED", "DU1234567"):
        assert part in shown, part
    assert "Cancel order" not in shown
    part = body(reader().get(f"/orders/{entry.order_ref}/now/"))
    assert "<html" not in part
    assert reader().get("/orders/A0-E/").status_code == 404
    assert person().get(f"/orders/{entry.order_ref}/").status_code == 403


def test_who_may_not_see_the_log_is_told_the_orders_own_times() -> None:
    told = tell("buy")
    shown = body(person("trading.view_order").get(f"/orders/{told.orders[0].order_ref}/"))
    assert "by the order&#x27;s own times" in shown or "by the order's own times" in shown
    assert 'id="events"' not in shown
    assert 'id="trades"' not in shown


def test_one_order_costs_the_same_whatever_became_of_it() -> None:
    client = reader()
    row = strategy()
    plain = bracket(row, quantity="1")[0]
    filled = bought(strategy("other"), quantity="2")[0]
    counts = []
    for order in (plain, filled):
        with CaptureQueriesContext(connection) as counted:
            assert client.get(f"/orders/{order.order_ref}/").status_code == 200
        counts.append(len(counted))
    assert counts[0] == counts[1]


def test_words_from_outside_are_shown_as_words() -> None:
    told = tell("buy")
    Order.objects.filter(pk=told.orders[0].pk).update(reason=EVIL, broker_detail=EVIL, broker_status="<b>odd</b>")
    for path in ("/orders/", f"/orders/{told.orders[0].order_ref}/"):
        shown = body(reader().get(path))
        assert EVIL not in shown
        assert "<b>odd" not in shown
        assert "&lt;script&gt;" in shown


def test_the_cancel_is_for_those_who_may() -> None:
    stop = tell("buy").orders[1]
    path = f"/orders/{stop.order_ref}/cancel/"
    watcher = reader()
    assert path not in body(watcher.get(f"/orders/{stop.order_ref}/"))
    assert watcher.get(path).status_code == 403
    assert watcher.post(path, {"reason": "because"}).status_code == 403
    assert person("trading.request_order").get(path).status_code == 403
    assert Client().get(path).status_code == 302
    assert not OrderRequest.objects.exists()


def test_a_cancel_asks_for_a_reason_and_says_why_it_was_not_done() -> None:
    entry, stop, _ = tell("buy").orders
    client = person("trading.view_order", "trading.request_order")
    path = f"/orders/{stop.order_ref}/cancel/"
    assert path in body(client.get(f"/orders/{stop.order_ref}/"))
    page = client.get(path)
    assert "force" in page.context["form"].fields
    key = str(page.context["form"].initial["key"])
    assert client.post(path, {"reason": "", "key": key}).status_code == 200
    assert not OrderRequest.objects.exists()
    answer = client.post(path, {"reason": "no longer wanted", "key": key})
    assert answer["Location"] == f"/orders/{stop.order_ref}/"
    assert "web-error" in body(client.get(answer["Location"]))
    assert not OrderChange.objects.exists()
    assert "has ended" in body(client.get(f"/orders/{entry.order_ref}/cancel/"))
    assert client.get("/orders/A0-E/cancel/").status_code == 404


def test_a_person_cancels_an_order_once(desk: Desk, transactional_db: None) -> None:
    assert Api("trading.request_order").post("place", entry(desk, "GAPS")).status_code == 201
    order = legs_of()["entry"]
    client = person("trading.view_order", "trading.request_order")
    path = f"/orders/{order.order_ref}/cancel/"
    page = client.get(path)
    assert "force" not in page.context["form"].fields
    said = {"reason": "no longer wanted", "key": str(page.context["form"].initial["key"])}
    for _ in range(2):
        assert "is CANCELLED" in body(client.post(path, said, follow=True))
    desk.market.broker.drain()
    assert OrderChange.objects.get().reason == "no longer wanted; the order is CANCELLED"
    shown = body(client.get(f"/orders/{order.order_ref}/"))
    assert path not in shown
    assert "no longer wanted" in shown
    assert "the order itself" in shown


def test_the_file_has_every_order_and_no_formula() -> None:
    told = tell("buy")
    Order.objects.filter(pk=told.orders[0].pk).update(reason="=1+1", broker_detail="two, words")
    answer = reader().get("/orders.csv")
    assert answer["Content-Type"].startswith("text/csv")
    assert "attachment" in answer["Content-Disposition"]
    lines = b"".join(answer.streaming_content).decode().split("\r\n")
    assert lines[0].startswith("order_ref,perm_id,account")
    assert len(lines) == 5
    entry = next(line for line in lines if line.startswith(told.orders[0].order_ref))
    assert ",'=1+1," in entry
    assert '"two, words"' in entry
    assert ",410," in entry


@pytest.mark.parametrize(
    ("path", "name", "filters", "rows"),
    [
        ("orders.csv", "order", {"role": "stop", "symbol": "aapl"}, 1), ("orders.csv", "order", {}, 3),
        ("orders.csv", "order", {"symbol": "IBM"}, 0), ("trades.csv", "trade", {"symbol": "AAPL", "state": "OPEN"}, 1),
    ],
)  # fmt: skip
def test_who_takes_a_list_as_a_file_is_on_record(path: str, name: str, filters: dict[str, str], rows: int) -> None:
    tell("buy")
    client = reader()
    answer = client.get(f"/{path}", filters | {"side": "", "cursor": "x"})
    event = Event.objects.get(type="LIST_EXPORTED")
    assert (event.actor, event.subject) == (
        User.objects.get(pk=client.session["_auth_user_id"]).username,
        f"list:{name}",
    )
    told = json.loads(event.document)
    assert (told["list"], told["filters"], told["rows"]) == (name, filters, rows)
    assert len(b"".join(answer.streaming_content).splitlines()) == rows + 1, "the event was there before"


def test_a_file_that_nobody_gets_is_not_on_record() -> None:
    tell("buy")
    assert person("trading.view_trade").get("/orders.csv").status_code == 403
    assert reader().get("/orders.csv?state=NONSENSE").status_code == 302
    assert reader().head("/orders.csv").status_code == 200
    assert not Event.objects.filter(type="LIST_EXPORTED").exists()
    assert selectors.orders_count({}, 2) == 2, "never more are counted than the file holds"


def test_a_file_is_read_piece_by_piece_up_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "CHUNK", 2)
    told = tell("buy")
    rows = [row["order_ref"] for piece in selectors.orders_whole({}, 10) for row in piece]
    assert rows == [order.order_ref for order in reversed(told.orders)]
    assert sum(len(piece) for piece in selectors.orders_whole({}, 1)) == 1
    assert [len(piece) for piece in selectors.orders_whole({"symbol": "AAPL"}, 10)] == [2, 1]


@pytest.mark.parametrize(
    ("value", "written"),
    [("=A1", "'=A1"), ("+1", "'+1"), ("-1", "'-1"), ("@x", "'@x"), ("\tx", "'\tx"), ("\rx", "'\rx"), ("a=b", "a=b"),
     (-3, "-3"), (None, ""), (selectors.SHOWN, "50")],
)  # fmt: skip
def test_a_cell_is_never_a_formula(value: object, written: str) -> None:
    assert cell(value) == written
