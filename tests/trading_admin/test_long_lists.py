"""The admin's lists at many rows: never counted, read by key and by an index, found by symbol, reference and id."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.admin import site
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from autotrader.core import admin_filters
from autotrader.core.artifacts.models import Artifact
from autotrader.core.audit.models import Event
from autotrader.core.exports import MOST_ROWS
from broker.models import BrokerMessage, Submission
from research.models import ModelBudget, ModelCall
from tests.trading_admin.story import Told, tell
from trading.models import Account, Instrument, Order

pytestmark = [pytest.mark.django_db, pytest.mark.both]
MANY = 20_000
BORN = datetime(2024, 1, 2, tzinfo=UTC)


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, settings: Any) -> None:
    settings.AUTOTRADER_STATE_DIR = tmp_path


def changelist(name: str) -> str:
    return reverse(f"admin:{name}_changelist")


def numbers_of(answer: Any) -> list[int]:
    return [row.pk for row in answer.context["cl"].result_list]


def rows_of(answer: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))


@pytest.fixture
def many_orders(db: None) -> list[int]:
    """The keys of many orders."""
    account = Account.objects.create(id="DU1", kind="PAPER", base_currency="USD", created_at=BORN)
    instruments = [Instrument.objects.create(symbol=f"S{number}") for number in range(40)]
    first = Order.objects.create(
        account=account, instrument=instruments[0], group="G0", order_ref="G0-E", role="entry", side="BUY", quantity=1,
        order_type="LMT", tif="DAY", state="CANCELLED", created_at=BORN, market_at=BORN,
    )  # fmt: skip
    multiplied(
        first, MANY, instrument_id=f"{instruments[0].pk} + n %% 40", group="'G' || n", order_ref="'G' || n || '-E'",
        created_at=after("n * 60"),
    )  # fmt: skip
    _analyze()
    return list(Order.objects.values_list("pk", flat=True))


@pytest.fixture
def many_events(db: None) -> None:
    log(1, lambda number: BORN + timedelta(seconds=number))
    multiplied(
        Event.objects.get(), MANY, seq="n + 1", at=after("n + 1"), subject="'step:' || (n + 1)",
        correlation_id="'c' || (n + 1)",
    )  # fmt: skip
    _analyze()


def multiplied(first: Model, count: int, **changes: str) -> None:
    """`count` rows like the first: `changes` are SQL of the row's number n, from 1 on, by column.

    Made by the database itself: as many objects would be made for nothing.
    """
    fields, table, key = first._meta.concrete_fields, first._meta.db_table, first._meta.pk
    assert key is not None
    columns = [field.column for field in fields if field is not key or key.column in changes]
    values = [changes.get(column, f'"{column}"') for column in columns]
    names = ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count - 1}) "
            f'INSERT INTO "{table}" ({names}) SELECT {", ".join(values)} FROM numbers, "{table}" '
            f'WHERE "{key.column}" = %s ORDER BY n',
            [first.pk],
        )


def after(seconds: str) -> str:
    """SQL of the time so many seconds after BORN."""
    if connection.vendor == "postgresql":
        return f"timestamptz '{BORN.isoformat()}' + ({seconds}) * interval '1 second'"
    return f"datetime('{BORN:%Y-%m-%d %H:%M:%S}', '+' || ({seconds}) || ' seconds')"


def log(count: int, at: Callable[[int], datetime]) -> None:
    """So many events, each with its number's time."""
    Event.objects.bulk_create(
        [
            Event(
                seq=number,
                at=at(number),
                type="STEP_DONE",
                actor="w",
                subject=f"step:{number}",
                correlation_id=f"c{number}",
                subject_version=1,
                previous_hash="0",
                hash="0",
            )
            for number in range(1, count + 1)
        ],
        batch_size=500,
    )


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


def test_a_long_list_of_orders_is_not_counted_and_read_by_an_index(boss: Client, many_orders: list[int]) -> None:
    for asked in ORDERS:
        for sql in read(boss, changelist("trading_order") + asked, "trading_order"):
            assert "COUNT(" not in sql
            assert "LIMIT" in sql
            assert not scans(plan_of(sql), "trading_order"), sql
    export_is_read_in_parts(boss)
    first, second = walk_to_older_and_back(boss)
    assert second == [key - 50 for key in first]
    last = boss.get(changelist("trading_order"), {"older": min(many_orders) + 3})
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


AN_HOUR = {"at__gte": "2024-01-02 01:00:00+00:00", "at__lt": "2024-01-02 02:00:00+00:00"}


def test_a_part_of_the_log_s_time_is_read_in_the_order_of_its_index(boss: Client, many_events: None) -> None:
    for place in ({}, {"older": "5000"}, {"newer": "5000"}):
        asked = f"{changelist('audit_event')}?{urlencode({**AN_HOUR, **place})}"
        [page] = [sql for sql in read(boss, asked, "audit_event") if "LIMIT 51" in sql]
        plan = plan_of(page)
        assert "audit_event_at" in plan, plan
        assert "TEMP B-TREE" not in plan, plan
        assert "Sort" not in plan, plan
    path = changelist("audit_event")
    assert numbers_of(boss.get(path, AN_HOUR)) == list(range(7199, 7149, -1))
    assert numbers_of(boss.get(path, {**AN_HOUR, "older": 3602})) == [3601, 3600]
    both = {**AN_HOUR, "type__exact": "STEP_DONE", "older": 3602}
    assert numbers_of(boss.get(path, both)) == [3601, 3600]
    assert boss.get(path, {**AN_HOUR, "older": MANY + 5})["Location"].endswith("?e=1")


def test_some_days_of_orders_are_read_in_the_order_of_their_time(boss: Client, many_orders: list[int]) -> None:
    day = BORN + timedelta(days=3)
    asked = {"created_at__gte": day, "created_at__lt": day + timedelta(days=1)}
    path = changelist("trading_order")
    [page] = [sql for sql in read(boss, f"{path}?{urlencode(asked)}", "trading_order") if "LIMIT 51" in sql]
    plan = plan_of(page)
    assert "order_by_time" in plan, plan
    assert not any(word in plan for word in ("TEMP B-TREE", "Sort")), plan
    first = boss.get(path, asked)
    second = boss.get(path + first.context["cl"].older_url)
    seen = [row.created_at for answer in (first, second) for row in answer.context["cl"].result_list]
    assert seen == [day + timedelta(days=1) - timedelta(minutes=number) for number in range(1, 101)]


def test_every_list_of_a_time_has_the_index_of_that_time() -> None:
    timed = {model: listed.timed for model, listed in site._registry.items() if getattr(listed, "timed", "")}
    assert {model.__name__ for model in timed} == {"Event", "Decision", "Order", "Trade"}
    for model, time in timed.items():
        assert model._meta.pk is not None
        assert [time, model._meta.pk.name] in [list(index.fields) for index in model._meta.indexes], model


def test_pages_of_a_time_lose_no_row_where_the_clock_went_back_or_stood(boss: Client) -> None:
    log(120, lambda number: BORN + timedelta(seconds=number * 7 % 20))
    path, seen = changelist("audit_event"), []
    page = boss.get(path, {"at__gte": BORN, "at__lt": BORN + timedelta(seconds=15)})
    while True:
        rows = [(row.at, row.pk) for row in page.context["cl"].result_list]
        if seen:
            back = boss.get(path + page.context["cl"].newer_url)
            assert [(row.at, row.pk) for row in back.context["cl"].result_list] == seen[-50:]
        seen += rows
        if not page.context["cl"].older_url:
            break
        page = boss.get(path + page.context["cl"].older_url)
    assert len(set(seen)) == len(seen) == 90
    assert seen == sorted(seen, reverse=True)


FEW = 6_000
LISTS = {
    "broker_submission": ("R77", "77", "h77", "state__exact=VOID", "role__exact=stop", "account__exact=DU1"),
    "broker_brokermessage": ("R77", "77", "x77", "state__exact=ERROR", "kind__exact=order"),
    "research_modelcall": ("c77", "77", "y77", "state__exact=FAILED", "model__exact=m1", "purpose__exact=decide"),
    "research_modelbudget": ("cycle:77", "nothing"),
    "artifacts_artifact": ("a" * 64, "77", "kind__exact=bars"),
}


@pytest.fixture
def many_records(db: None) -> None:
    """Rows of the tables that grow with every order, message and question."""
    made: list[tuple[Model, dict[str, str]]] = [
        (
            Submission(
                order_ref="R1", revision=0, account="DU1", role="entry", state="SENT", intent_hash="h1", created_at=BORN
            ),
            {"order_ref": "'R' || (n + 1)", "intent_hash": "'h' || (n + 1)"},
        ),
        (
            BrokerMessage(
                kind="order", order_ref="R1", perm_id=1, exec_id="x1", payload="{}", state="APPLIED", received_at=BORN
            ),
            {"order_ref": "'R' || (n + 1)", "perm_id": "n + 1", "exec_id": "'x' || (n + 1)"},
        ),
        (
            ModelCall(
                correlation_id="c1", cycle="y1", purpose="decide", prompt_name="p", model="m1", state="DONE",
                request="[]", created_at=BORN,
            ),
            {"correlation_id": "'c' || (n + 1)", "cycle": "'y' || (n + 1)"},
        ),
        (ModelBudget(scope="cycle:1", committed=1), {"scope": "'cycle:' || (n + 1)"}),
        (
            Artifact(sha256=f"{1:064d}", kind="bars", media_type="x/y", size=1, created_at=BORN),
            {"sha256": f"substr('{'0' * 64}' || (n + 1), length('' || (n + 1)) + 1)"},
        ),
    ]  # fmt: skip
    for first, changes in made:
        first.save()
        multiplied(first, FEW, **changes)
    _analyze()


def test_the_broker_s_and_the_model_s_long_lists_are_not_counted_either(
    boss: Client, many_records: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_filters, "WINDOW", 1_000)
    for name, asked in LISTS.items():
        for words in ("", *(word if "=" in word else f"q={word}" for word in asked)):
            for sql in read(boss, f"{changelist(name)}?{words}", name):
                assert "COUNT(" not in sql, sql
                assert "DISTINCT" not in sql, sql
                assert "LIMIT" in sql, sql
                assert not scans(plan_of(sql), name), sql


def test_what_no_index_serves_is_looked_for_in_the_newest_rows(
    boss: Client, many_records: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_filters, "WINDOW", 1_000)
    path, newest = changelist("broker_brokermessage"), BrokerMessage.objects.latest("pk")
    page = boss.get(path, {"kind__exact": "order"})
    assert numbers_of(page)[0] == newest.pk
    assert "of the newest 1,000" in page.content.decode()
    last = boss.get(path, {"kind__exact": "order", "older": newest.pk - 990})
    assert len(numbers_of(last)) == 9
    assert numbers_of(boss.get(path, {"q": newest.exec_id})) == [newest.pk]
    assert numbers_of(boss.get(path, {"q": "x77"})) == []
    assert len(numbers_of(boss.get(path, {"q": "R77"}))) == 1
    for odd in ("no-such", "a\x00b"):
        assert numbers_of(boss.get(path, {"kind__exact": odd}, follow=True)) in ([], numbers_of(boss.get(path)))


def test_a_search_of_too_many_words_is_not_made_and_said(boss: Client, bought: Told) -> None:
    path, order = changelist("trading_order"), bought.orders[0]
    said = "Nothing was looked for: search with at most 5 words of together 200 characters."
    for words in ("AAPL " * 6, "x" * 201):
        page = boss.get(path, {"q": words})
        assert numbers_of(page) == []
        assert page.content.decode().count(said) == 1, words
        assert not read(boss, f"{path}?{urlencode({'q': words})}", "trading_order")
    page = boss.get(path, {"q": f"{'AAPL ' * 4}{order.group}{' ' * 300}"})
    assert order.pk in numbers_of(page)
    assert said not in page.content.decode()


def test_a_search_that_is_too_long_is_not_written_out(boss: Client, bought: Told) -> None:
    path = changelist("trading_order")
    page = boss.get(path, {"q": "<" * 5000}).content.decode()
    assert f"“{'&lt;' * 59}…” is too long to be looked for." in page
    assert "everywhere</a>" not in page
    page = boss.get(path, {"q": "y" * 200}).content.decode()
    assert f"Nothing in this list fits “{'y' * 200}”" in page
    assert f"Find “{'y' * 200}” everywhere</a>" in page


def test_after_a_word_that_finds_nothing_no_other_is_looked_for(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def find(word: str) -> None:
        asked.append(word)

    monkeypatch.setattr(site.get_model_admin(Order), "finders", (find,))
    assert numbers_of(boss.get(changelist("trading_order"), {"q": "one two three"})) == []
    assert asked == ["one"]


def test_votes_and_sendings_are_found_and_never_counted(boss: Client) -> None:
    for name in ("trading_approvalvote", "trading_dispatch", "trading_discrepancy"):
        for words in ("", "q=AAPL", "q=77", "q=nothing", "state__exact=DONE" if name == "trading_dispatch" else ""):
            assert all("COUNT(" not in sql for sql in read(boss, f"{changelist(name)}?{words}", name))


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
