"""Event lines: every type has its sentence and its panels, whatever an event holds is escaped, and none breaks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from pytest_django import DjangoAssertNumQueries

from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import Event
from autotrader.core.live.documents import event_document
from tests.trading_admin.story import tell
from tests.web.test_orders import reader
from trading.models import Trade
from trading.web import lines
from trading.web.line_kinds import BAD, BUSY, GOOD, POKES, WARN
from trading.web.line_names import Names
from trading.web.lines import line_of, lines_recent

FOLDER = Path(settings.BASE_DIR) / "templates" / "web" / "lines"
NASTY = "<script>alert('x')</script>"
ROOMS = ("order", "decision", "cycle", "execution", "step", "approval", "strategy", "change", "fill", "halt", "broker")
FIELDS = (
    "order_ref", "side", "quantity", "price", "limit_price", "stop_price", "average_price", "commission",
    "realized_pnl", "pnl", "open", "role", "kind", "name", "strategy", "worker", "outcome", "type", "target_price",
    "decided_by", "reasons", "net_liquidation", "cash", "market_now", "detail", "error", "order_type",
    "filled_quantity", "broker_detail", "strategies", "symbols", "dry_run", "ms", "asked", "confirmed", "value",
    "reason", "blocking", "until", "symbol", "instrument", "order", "terms", "steps",
)  # fmt: skip


def event(kind: str, **changes: Any) -> dict[str, Any]:
    return {
        "seq": 7, "at": "2026-11-21T18:40:43.123456Z", "market_at": None, "type": kind, "account": "DU1",
        "actor": "anna", "correlation_id": "c1", "subject": "order:AAAAAAAAAAAAA-E", "version": 3,
        "old_state": "", "new_state": "", "cause": "", "document": {}, "quarantined": False, "hash": "",
    } | changes  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Names()
    monkeypatch.setattr(lines, "NAMES", known)


def test_every_type_has_its_file_and_none_is_left_over() -> None:
    files = {path.stem for path in FOLDER.glob("*.html") if not path.stem.startswith("_")}
    assert files == {kind.value for kind in EventType}


def test_every_type_says_which_panels_it_touches() -> None:
    words = {
        "orders", "trades", "positions", "account", "cycles", "executions", "decisions", "approvals", "halt",
        "discrepancies", "strategies", "gateway", "requests", "reviews",
    }  # fmt: skip
    assert set(POKES) == set(EventType)
    assert {word for row in POKES.values() for word in row} <= words
    assert sum(map(len, (GOOD, BAD, WARN, BUSY))) == len(GOOD | BAD | WARN | BUSY)


KINDS = [*EventType, "SOMETHING_NEWER"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_document_breaks_a_line_and_all_of_it_is_escaped(kind: str) -> None:
    nested = {"legs": [{"side": NASTY, "quantity": NASTY, "limit_price": NASTY}]}
    documents: list[Any] = [
        {},
        dict.fromkeys(FIELDS, NASTY),
        dict.fromkeys(FIELDS),
        {name: [NASTY] for name in FIELDS},
        {name: {"a": NASTY} for name in FIELDS} | {"terms": nested, "now": {"name": NASTY}},
        dict.fromkeys(FIELDS, "NaN"),
        dict.fromkeys(FIELDS, 1e300),
        {"terms": {"legs": [NASTY]}},
        NASTY,
    ]
    # The template reads the document, the address the room: each of both for a kind, each with each over all kinds.
    first = KINDS.index(kind)
    pairs = [(documents[(first + number) % len(documents)], room) for number, room in enumerate(ROOMS)]
    for document, room in [*pairs, *((document, ROOMS[0]) for document in documents)]:
        told = event(
            kind, document=document, subject=f"{room}:{NASTY}", cause=NASTY, actor=NASTY, account=NASTY,
            old_state=NASTY, new_state=NASTY, correlation_id=NASTY,
        )  # fmt: skip
        html = line_of(told).html
        assert "<script" not in html
        assert html.startswith("<li ")
        assert html.endswith("</li>")
    assert line_of(event(kind)).html.count("<li ") == 1
    assert line_of({"type": kind}).seq == 0


def test_a_fill_reads_as_a_trader_says_it() -> None:
    order = {"order_ref": "AAAAAAAAAAAAA-E", "instrument": 5, "side": "BUY", "quantity": "100", "symbol": "AAPL"}
    line_of(event("ORDER_DRAFTED", document=order))
    fill = {
        "order_ref": "AAAAAAAAAAAAA-E",
        "side": "BUY",
        "quantity": "100.000000",
        "price": "191.2",
        "commission": "1",
    }
    line = line_of(event("FILL_BOOKED", subject="fill:0001.01", document=fill))
    assert "Bought 100 AAPL at 191.20, 1.00 commission" in line.html
    assert (line.seq, line.cause) == (7, "c1")
    assert {"orders", "positions", "trades", "account"} == set(line.pokes)
    assert 'data-seq="7"' in line.html
    assert 'data-version="3"' in line.html
    assert "2026-11-21 18:40:43 UTC" in line.html


@pytest.mark.parametrize(
    ("kind", "subject", "document", "rows"),
    [
        ("FILL_BOOKED", "fill:0001.01", {"order_ref": "AAAAAAAAAAAAA-E"}, ("orders:AAAAAAAAAAAAA-E",)),
        ("ORDER_FILLED", "order:AAAAAAAAAAAAA-E", {}, ("orders:AAAAAAAAAAAAA-E",)),
        ("TRADE_CLOSED", "trade:7", {"order_ref": "other"}, ("trades:7",)),
        ("ORDER_ACCEPTED", "order:AAAAAAAAAAAAA-E", {}, ()),
        ("FILL_BOOKED", "fill:0001.01", {}, ()),
        ("ORDER_FILLED", "order:" + "A" * 65, {}, ()),
        ("ORDER_FILLED", "order:", {}, ()),
    ],
)
def test_a_fill_names_the_rows_that_it_changed(
    kind: str, subject: str, document: dict[str, Any], rows: tuple[str, ...]
) -> None:
    assert line_of(event(kind, subject=subject, document=document)).rows == rows


@pytest.mark.django_db
def test_a_row_that_follows_its_line_is_the_one_of_the_list() -> None:
    told = tell("buy")
    client = reader()
    keys = {"orders": told.orders[0].order_ref, "trades": str(Trade.objects.get().pk)}
    pages = {"orders": client.get("/orders/").content.decode(), "trades": client.get("/trades/").content.decode()}
    for name, key in keys.items():
        row_list = line_of.lists[name]
        made = row_list.make([key, "0"], {"trading.view_decision"})
        assert list(made) == [key]
        row = made[key].strip()
        assert row.startswith(f'<tr data-row="{key}" data-place="')
        assert row in pages[name]
        assert "/decisions/" in row
        assert "/decisions/" not in row_list.make([key], ())[key]


@pytest.mark.parametrize("kind", ["TRADE_CLOSED", "TRADE_CHANGED"])
def test_a_trade_s_result_is_told_as_that_of_now(kind: str) -> None:
    trade = {"side": "long", "quantity": "10", "open": "0", "pnl": "99"}
    html = line_of(event(kind, subject="trade:1", new_state="CLOSED", document=trade)).html
    assert "result so far +99.00, before commissions that are still to come" in html
    assert "result" not in line_of(event(kind, subject="trade:1", document=trade | {"pnl": None})).html


def test_a_halt_names_who_and_why() -> None:
    halted = event("HALT_CHANGED", subject="halt:1", new_state="HALTED", cause="the feed is odd")
    line = line_of(halted)
    assert "Trading halted by anna: the feed is odd" in line.html
    assert 'href="/halt/"' in line.html
    assert "Trading released by anna" in line_of(halted | {"new_state": "ACTIVE"}).html


def test_a_saved_strategy_is_called_by_its_name() -> None:
    saved = {"now": {"name": "breakout"}, "changed": {"mode": ["auto", "approve"]}}
    told = event("STRATEGY_CHANGED", subject="strategy:4", document=saved, cause="changed: mode")
    assert "Strategy breakout saved by anna as version 3: changed: mode" in line_of(told).html


def test_what_was_no_json_says_so() -> None:
    line = line_of(event("ORDER_FILLED", quarantined=True, document={"text": "{'a': <object>}"}))
    assert "could not be written as JSON" in line.html


def test_a_page_that_does_not_exist_is_no_link() -> None:
    assert "href" not in line_of(event("TRADE_OPENED", subject="trade:1")).html
    assert "href" not in line_of(event("APPROVAL_GIVEN", subject="approval:none")).html
    assert 'href="/approvals/4/"' in line_of(event("APPROVAL_GIVEN", subject="approval:4")).html


def test_a_long_cause_is_cut() -> None:
    assert len(line_of(event("EXECUTION_FAILED", subject="execution:1", cause="x" * 20_000)).html) < 1500


def fastest(work: Callable[[], object]) -> float:
    """The processor's seconds that it takes when nothing comes in between."""
    best = float("inf")
    for _ in range(20):
        began = time.thread_time()
        for _ in range(10):
            work()
        best = min(best, (time.thread_time() - began) / 10)
    return best


def test_a_line_takes_no_half_millisecond() -> None:
    """Where writing and reading the event's document takes 8 µs; on a slower machine as much longer."""
    told = event("FILL_BOOKED", subject="fill:1.01", document={"side": "BUY", "quantity": "1", "price": "2"})
    line_of(told)
    assert fastest(lambda: line_of(told)) < 60 * fastest(lambda: json.loads(json.dumps(told)))


def test_names_stay_bounded() -> None:
    names = Names(kept=3)
    names.learn({f"instrument:{pk}": f"S{pk}" for pk in range(10)})
    assert names.symbol(event("ORDER_FILLED", document={"instrument": 9}, correlation_id="")) == "S9"
    assert names.symbol(event("ORDER_FILLED", document={"instrument": 0}, correlation_id="", subject="order:B")) == ""


@pytest.mark.django_db
def test_the_newest_come_first_with_their_symbols(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    told = tell("buy")
    with django_assert_max_num_queries(7):
        found = lines_recent(500)
    assert [line.seq for line in found] == sorted((line.seq for line in found), reverse=True)
    assert len(found) == Event.objects.count()
    text = "\n".join(line.html for line in found)
    assert "Bought 410 AAPL at" in text
    assert "AAPL queued (execution" in text
    assert told.orders[0].order_ref in text


@pytest.mark.django_db
def test_of_one_cycle_come_its_own_and_those_of_its_executions(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    first, second = tell("buy"), tell("hold", "IBM")
    about = first.execution.cycle.correlation_id
    with django_assert_max_num_queries(8):
        causes = {line.cause for line in lines_recent(500, about)}
    assert causes == {about, first.execution.correlation_id}
    assert {line.cause for line in lines_recent(500, second.execution.correlation_id)} == {
        second.execution.correlation_id
    }
    assert lines_recent(5, "nobody's") == []


@pytest.mark.django_db
def test_a_line_asks_no_database(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    tell("buy")
    documents = [event_document(row) for row in Event.objects.all()]
    with django_assert_num_queries(0):
        lines = [line_of(document) for document in documents]
    assert [line.seq for line in lines] == [document["seq"] for document in documents]
