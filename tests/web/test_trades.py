"""Trades on the pages for people: each with its result in money and R, how long it was held, and who decided it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.test import AsyncRequestFactory, Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.trading.builders import ACCOUNT, NOW, bought, cost, deliver, fill, strategy
from tests.web.test_orders import EVIL, body, person, reader
from trading.models import Decision, Strategy, Trade
from trading.selectors.pages.trades import spell, trades_among
from trading.services.accounts import account_ensure
from trading.web.trades import COLUMNS, csv_answer

pytestmark = pytest.mark.django_db


@pytest.fixture
def row(db: None, tmp_path: Path, settings: Any) -> Strategy:
    """A strategy, with a state folder of the test's own: a loss may write the Halt's file."""
    settings.AUTOTRADER_STATE_DIR = tmp_path
    account_ensure(ACCOUNT)
    return strategy()


def round_trip(row: Strategy, *, quantity: str = "10", price: str = "110") -> None:
    """Bought at 100 with a stop at 95, sold two hours later, 1.00 of commission each way."""
    target = bought(row, quantity=quantity)[2]
    out = fill(target, quantity, price, time=NOW + timedelta(hours=2, minutes=1))
    deliver(out, cost(out))


@pytest.mark.parametrize("name", ["trades", "trades_rows", "trades_csv"])
def test_only_who_may_see_trades_sees_them(name: str) -> None:
    assert Client().get(reverse(name)).status_code == 302
    assert person("trading.view_order").get(reverse(name)).status_code == 403
    assert person("trading.view_trade").get(reverse(name)).status_code == 200


def test_without_trades_the_page_says_what_to_do() -> None:
    shown = body(reader().get("/trades/"))
    assert "There is no trade yet" in shown
    assert 'data-panel="trades"' in shown


def test_a_closed_trade_is_told_with_its_result_and_an_open_one_without(row: Strategy) -> None:
    bought(row)
    shown = body(reader().get("/trades/"))
    assert "not yet" in shown
    assert "still" in shown
    assert "rules-v1" in shown


def test_a_round_trip_has_a_result_in_money_and_in_r(row: Strategy) -> None:
    round_trip(row)
    answer = reader().get("/trades/?state=CLOSED&symbol=aapl&strategy=s")
    (trade,) = answer.context["found"].rows
    assert (trade["pnl"], trade["r"], trade["held"]) == (Decimal("98"), Decimal("1.96"), "2 h 0 min")
    shown = body(answer)
    assert "+98.00</span> USD" in shown
    assert "+1.96" in shown
    assert "No trade fits the filters" in body(reader().get("/trades/?state=OPEN"))
    assert "Correct the filters" in body(reader().get("/trades/?state=HALF"))


def test_rows_alone_are_those_that_the_list_would_show(row: Strategy) -> None:
    round_trip(row)
    bought(strategy("other"), quantity="2")
    client = reader()
    path = reverse("trades_rows")
    closed, opened = Trade.objects.order_by("pk")
    part = body(client.get(path, {"only": [closed.pk, "x", "9" * 30, "²"]}))
    assert f'data-row="{closed.pk}"' in part
    assert "+98.00</span> USD" in part
    assert part.count("<tr ") == 1
    for query, fits in [("state=CLOSED", True), ("state=OPEN", False), ("strategy=other", False), ("side=long", True)]:
        assert (f'data-row="{closed.pk}"' in body(client.get(f"{path}?{query}&only={closed.pk}"))) is fits, query
    assert body(client.get(path, {"only": [closed.pk, opened.pk]})).count("<tr ") == 2
    assert person("trading.view_order").get(path, {"only": closed.pk}).status_code == 403


def test_a_row_alone_is_one_query_and_of_what_has_ended_one_more(row: Strategy) -> None:
    target = bought(row)[2]
    key = str(Trade.objects.get().pk)
    with CaptureQueriesContext(connection) as counted:
        (found,) = trades_among({}, [key])
    assert (len(counted), found["result"]) == (1, "open")
    deliver(fill(target, "10", "110", time=NOW + timedelta(hours=2)))
    with CaptureQueriesContext(connection) as counted:
        (found,) = trades_among({}, [key])
    assert (len(counted), found["result"], found["fees_pending"]) == (2, "commission awaited", 1)


def test_a_result_without_all_its_commissions_is_not_told_as_final(row: Strategy) -> None:
    target = bought(row)[2]
    deliver(fill(target, "10", "110", time=NOW + timedelta(hours=2)))
    shown = body(reader().get("/trades/?state=CLOSED"))
    assert "commission awaited" in shown
    assert "+99.00</span> USD before 1 commission" in shown
    part = body(reader().get(f"/orders/{target.order_ref}/"))
    assert "commission awaited" in part
    lines = b"".join(reader().get("/trades.csv").streaming_content).decode().split("\r\n")
    told = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert (told["pnl"], told["r"], told["commission"]) == ("", "", "")
    assert (told["result"], told["fees_pending"]) == ("commission awaited", "1")


def test_the_list_costs_the_same_for_one_trade_and_for_many(row: Strategy) -> None:
    client = reader()
    round_trip(row)

    def queries() -> int:
        with CaptureQueriesContext(connection) as counted:
            assert client.get("/trades/").status_code == 200
        return len(counted)

    few = queries()
    for number in range(5):
        bought(strategy(f"s{number}"), quantity=str(number + 2))
    assert queries() == few


def test_words_from_outside_are_shown_as_words(row: Strategy) -> None:
    round_trip(row)
    Decision.objects.update(decided_by=EVIL)
    shown = body(reader().get("/trades/"))
    assert EVIL not in shown
    assert "&lt;script&gt;" in shown


def test_the_file_keeps_numbers_and_makes_formulas_text(row: Strategy) -> None:
    round_trip(row, price="90")
    Decision.objects.update(decided_by="@SUM(1)")
    answer = reader().get("/trades.csv?symbol=AAPL")
    lines = b"".join(answer.streaming_content).decode().split("\r\n")
    assert lines[0] == ",".join(COLUMNS)
    (line,) = lines[1:-1]
    told = dict(zip(lines[0].split(","), line.split(","), strict=True))
    assert told["pnl"] == "-102"
    assert told["r"] == "-2.04"
    assert told["decided_by"] == "'@SUM(1)"
    assert told["opened_at"].endswith("Z")


@async_to_sync
async def _pieces(answer: Any) -> list[bytes]:
    return [piece async for piece in answer.streaming_content]


@pytest.mark.django_db(transaction=True)
def test_under_asgi_a_file_leaves_piece_by_piece() -> None:
    request = AsyncRequestFactory().get("/trades.csv")
    assert isinstance(request, ASGIRequest)
    pieces = iter([[{"id": 1}], [{"id": 2}, {"id": 3}]])
    answer = csv_answer(request, "trades", {"id": "id"}, pieces)
    assert answer.is_async
    assert _pieces(answer) == [b"id\r\n", b"1\r\n", b"2\r\n3\r\n"]


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(seconds=7), "7 s"),
        (timedelta(minutes=59), "59 min"),
        (timedelta(hours=23, minutes=5), "23 h 5 min"),
        (timedelta(days=3, hours=4), "3 d 4 h"),
    ],
)
def test_a_length_of_time_is_said_in_its_largest_units(length: timedelta, said: str) -> None:
    assert spell(length) == said
