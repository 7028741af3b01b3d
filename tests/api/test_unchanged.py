"""An answer is told again while nothing was committed, and never an old one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.response import Response

from autotrader.core.rest import unchanged
from autotrader.core.rest.unchanged import ENTRY_BYTES, Told, database_state, told_again
from autotrader.core.users.models import User
from tests.api.asking import program
from tests.support import PATIENCE_S, eventually
from tests.trading.builders import bracket
from trading.models import Instrument, Order
from trading.models.order import OrderState

pytestmark = [pytest.mark.django_db(transaction=True)]
NAME = "/api/history/orders"


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Nothing has been answered yet."""
    nothing = Told()
    monkeypatch.setattr(unchanged, "_told", nothing)
    return nothing


class Making:
    """Gives what the database says, and counts how often it is asked."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Response:
        self.count += 1
        return Response({"symbols": list(Instrument.objects.order_by("pk").values_list("symbol", flat=True))})


def elsewhere(work: Callable[[], Any]) -> None:
    """Do it in another thread, which has a connection of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE_S)


def add(symbol: str) -> None:
    Instrument.objects.create(symbol=symbol, con_id=len(symbol) + Instrument.objects.count())


def said(make: Making) -> str:
    return bytes(told_again(NAME, make).content).decode()


def is_told_again(ask: Callable[[], Any], make: Making) -> bool:
    """Whether asking made nothing. PostgreSQL counts the commits of all its databases, other tests' too: ask again."""
    before = make.count
    ask()
    return make.count == before


def test_it_is_made_once_while_nothing_is_committed() -> None:
    add("AAA")
    make = Making()
    assert [said(make) for _ in range(3)] == ['{"symbols":["AAA"]}'] * 3
    eventually(lambda: is_told_again(lambda: said(make), make))
    assert not is_told_again(lambda: told_again("/another", make), make), "another name is another answer"


@pytest.mark.parametrize("by", [elsewhere, lambda work: work()], ids=["another's", "one's own"])
def test_every_commit_is_seen_by_the_next_who_asks(by: Callable[[Callable[[], Any]], None]) -> None:
    make = Making()
    for count in range(1, 6):
        by(lambda count=count: add("A" * count))  # type: ignore[misc]
        assert said(make).count("A" * count) == 1
    by(lambda: Instrument.objects.filter(symbol="A").update(symbol="B"))
    assert said(make).startswith('{"symbols":["B",')


def test_what_is_committed_while_an_answer_is_made_belongs_to_the_next() -> None:
    make = Making()

    def slowly() -> Response:
        response = make()
        elsewhere(lambda: add("NEW"))
        return response

    assert b"NEW" not in told_again(NAME, slowly).content
    assert "NEW" in said(make)


def test_two_threads_share_what_one_of_them_has_made() -> None:
    make, heard = Making(), list[str]()
    add("AAA")

    def both() -> None:
        said(make)
        before = make.count
        elsewhere(lambda: heard.append(said(make)))
        made.append(make.count - before)

    made: list[int] = []
    eventually(lambda: both() or made[-1] == 0)  # type: ignore[func-returns-value]
    assert set(heard) == {'{"symbols":["AAA"]}'}


def test_within_a_transaction_nothing_is_kept() -> None:
    make = Making()
    with transaction.atomic():
        assert database_state() is None
        add("AAA")
        assert told_again(NAME, make).data == {"symbols": ["AAA"]}  # type: ignore[union-attr]
        transaction.set_rollback(True)
    assert said(make) == '{"symbols":[]}'


def test_no_more_bytes_than_so_many_are_kept_names_counted() -> None:
    few = Told(most_bytes=4 * ENTRY_BYTES)
    for number in range(40):
        name = f"/{number % 20}?subject={'x' * 100}"
        few.keep((1,), name, b"{}")
        assert few.find((1,), name) == b"{}"
        assert 0 < len(few._answers) <= 3
    assert few.find((2,), name) is None


def test_a_list_asked_again_costs_the_look_alone_and_tells_what_has_changed() -> None:
    orders = bracket()
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password="x"))
    first = client.get(NAME)
    again = client.get(NAME)

    def asks_for_no_order() -> bool:
        with CaptureQueriesContext(connection) as asked:
            client.get(NAME)
        return not [query for query in asked.captured_queries if "trading_order" in query["sql"]]

    eventually(asks_for_no_order)
    assert again.content == first.content
    assert again.headers["Content-Type"] == first.headers["Content-Type"] == "application/json"
    assert again.headers["ETag"] == first.headers["ETag"]
    assert client.get(NAME, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    ended = orders[0].order_ref
    Order.objects.filter(order_ref=ended).update(state=OrderState.CANCELLED)
    states = {row["order_ref"]: row["state"] for row in client.get(NAME).json()["results"]}
    assert states[ended] == "CANCELLED"


def test_who_may_not_see_it_is_not_told_what_another_was() -> None:
    bracket()
    boss, nobody = Client(), Client()
    boss.force_login(User.objects.create_superuser("boss", password="x"))
    nobody.force_login(User.objects.create_user("nobody", password="x"))
    assert boss.get(NAME).status_code == 200
    assert nobody.get(NAME).status_code == 403
    assert Client().get(NAME).status_code == 401
    limited = program("ann", "trading.view_order", scopes=("read",), accounts=["DU999"])
    assert limited.get("history/orders").json()["results"] == []
