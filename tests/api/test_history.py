"""The history over REST: every filter, each row's numbers, and what a cycle caused found by its one id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations_with_replacement
from typing import Any

import pytest
from django.test import Client

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import Event
from autotrader.core.clock import system_now
from autotrader.core.rest import paging
from autotrader.core.users.keys import Terms, default_expiry, key_create
from autotrader.core.users.models import User
from tests.api.asking import program, someone
from tests.trading.builders import (
    ACCOUNT,
    NOW,
    D,
    bought,
    bracket,
    claimed,
    decided,
    deliver,
    fill,
    intent,
    report,
    sent,
    strategy,
)
from trading.api.filters import EventFilters, OrderFilters
from trading.models import Fill, Instrument, Order, Trade
from trading.models.order import OrderState
from trading.models.request import RequestKind
from trading.services.cancels import cancel_write
from trading.services.orders import changes_write
from trading.services.request_rows import Asked, request_receive


@pytest.fixture
def client(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password="x"))
    return client


def rows(client: Client, path: str, **asked: Any) -> list[dict[str, Any]]:
    """All pages, one after the other."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = client.get(f"/api/history/{path}", asked | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.content
        found += answer.json()["results"]
        cursor = answer.json()["next"]
    return found


def refused(answer: Any) -> tuple[int, str, str]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["details"].get("field", "")


# Events


@pytest.fixture
def log(db: None) -> list[Event]:
    """Nine events of three types, two accounts and two actors."""
    for number in range(9):
        who = audit.acting(actor=("ann", "bob")[number % 2], correlation_id=f"id{number % 3}")
        with who, audit.recording():
            audit.record(
                (EventType.ORDER_SENDING, EventType.ORDER_FILLED, EventType.HALT_CHANGED)[number // 3],
                f"order:{number % 4}",
                version=number,
                account=("DU1", "DU2", "")[number % 3],
                cause="a <cause>",
                document={"quantity": Decimal("1.50"), "number": number},
            )
    return list(Event.objects.order_by("-seq"))


def test_an_event_is_told_in_full(client: Client, log: list[Event]) -> None:
    first = rows(client, "events", limit=1)[0]
    assert first | {"at": "", "hash": ""} == {
        "seq": log[0].seq,
        "at": "",
        "market_at": None,
        "type": "HALT_CHANGED",
        "account": "",
        "actor": "ann",
        "correlation_id": "id2",
        "subject": "order:0",
        "version": 8,
        "old_state": "",
        "new_state": "",
        "cause": "a <cause>",
        "document": {"number": 8, "quantity": "1.50"},
        "quarantined": False,
        "hash": "",
    }
    assert datetime.fromisoformat(first["at"]) == log[0].at


EVENT_FILTERS: dict[str, tuple[str, Any]] = {
    "type": ("ORDER_FILLED", lambda event: event.type == "ORDER_FILLED"),
    "subject": ("order:1", lambda event: event.subject == "order:1"),
    "account": ("DU1", lambda event: event.account == "DU1"),
    "actor": ("bob", lambda event: event.actor == "bob"),
    "correlation_id": ("id1", lambda event: event.correlation_id == "id1"),
}


@pytest.mark.parametrize(("limit", "window"), [(2, 2), (500, 2_000)])
def test_every_filter_and_every_pair_of_filters_finds_its_events(
    client: Client, log: list[Event], monkeypatch: pytest.MonkeyPatch, limit: int, window: int
) -> None:
    monkeypatch.setattr(paging, "WINDOW", window)
    for name, other in combinations_with_replacement(EVENT_FILTERS, 2):
        (value, keeps), (second, also) = EVENT_FILTERS[name], EVENT_FILTERS[other]
        found = rows(client, "events", **{name: value, other: second}, limit=limit)
        wanted = [event.seq for event in log if keeps(event) and also(event)]
        assert [event["seq"] for event in found] == wanted, (name, other)


@pytest.mark.parametrize("extra", [{}, {"type": "ORDER_FILLED"}, {"subject": "order:1"}])
def test_events_are_found_by_their_time_and_by_their_number(
    client: Client, log: list[Event], monkeypatch: pytest.MonkeyPatch, extra: dict[str, str]
) -> None:
    monkeypatch.setattr(paging, "WINDOW", 2)
    mine = [event for event in log if all(getattr(event, name) == value for name, value in extra.items())]
    after, before = log[7].at, log[2].at
    found = rows(client, "events", after=after.isoformat(), before=f"{before:%Y-%m-%dT%H:%M:%S.%fZ}", limit=1, **extra)
    assert [event["seq"] for event in found] == [event.seq for event in mine if after < event.at < before]
    found = rows(client, "events", after_id=log[3].seq, limit=2, **extra)
    assert [event["seq"] for event in found] == [event.seq for event in mine if event.seq > log[3].seq]


def test_new_events_do_not_move_a_page(client: Client, log: list[Event]) -> None:
    first = client.get("/api/history/events", {"limit": 4}).json()
    with audit.recording():
        audit.record(EventType.HALT_CHANGED, "halt:1")
    second = client.get("/api/history/events", {"limit": 4, "cursor": first["next"]}).json()
    told = [event["seq"] for event in first["results"] + second["results"]]
    assert told == [event.seq for event in log[:8]]


def test_a_cycles_id_finds_all_it_caused(client: Client) -> None:
    entry, stop, _ = bought()
    bracket(strategy("other", ("IBM",)), "IBM")
    assert entry.decision is not None
    execution = entry.decision.execution
    cycle = execution.cycle.correlation_id
    found = rows(client, "events", correlation_id=cycle)
    kinds = {event["type"] for event in found}
    assert {"CYCLE_QUEUED", "EXECUTION_CLAIMED", "ORDER_ACCEPTED", "FILL_BOOKED", "TRADE_OPENED"} <= kinds
    assert {event["correlation_id"].partition(".")[0] for event in found} <= {cycle, "order", "cancel"}
    assert len(found) == len(rows(client, "events", correlation_id=cycle, limit=3))
    for correlation in (cycle, execution.correlation_id):
        legs = rows(client, "orders", correlation_id=correlation)
        assert [leg["order_ref"] for leg in legs] == [
            order.order_ref for order in Order.objects.filter(decision=entry.decision).order_by("-id")
        ]
        assert {leg["correlation_id"] for leg in legs} == {execution.correlation_id}
        assert [row["id"] for row in rows(client, "decisions", correlation_id=correlation)] == [entry.decision_id]
    assert rows(client, "orders", correlation_id=cycle, role="stop")[0]["order_ref"] == stop.order_ref
    for unknown in ("nobody", f"{cycle}.999999", f"{cycle}.x", "x" * 64):
        assert rows(client, "orders", correlation_id=unknown) == []


def test_an_exits_id_finds_the_target_that_it_moved_and_its_fill(client: Client) -> None:
    row = strategy()
    target = bought(row)[2]
    execution = claimed(row)
    with audit.acting(correlation_id=execution.correlation_id):
        changes_write(execution, intent(decided(execution, "sell", position="10")), [target])
    deliver(sent(target, revision=1), report(target, "Submitted", limit_price=D(99)))
    deliver(fill(target, "10", "99"), report(target, "Filled", "10", limit_price=D(99)))
    for correlation in (execution.cycle.correlation_id, execution.correlation_id):
        assert [leg["order_ref"] for leg in rows(client, "orders", correlation_id=correlation)] == [target.order_ref]
        types = {event["type"] for event in rows(client, "events", correlation_id=correlation, limit=5)}
        assert {"ORDER_CHANGE_SENDING", "ORDER_CHANGE_ACKED", "FILL_BOOKED", "ORDER_FILLED", "TRADE_CLOSED"} <= types
        assert not {"ORDER_DRAFTED", "TRADE_OPENED"} & types  # of the entry, before the exit


def test_a_cancels_id_finds_the_order_that_it_ended(client: Client) -> None:
    entry = bracket()[0]
    deliver(sent(entry), report(entry, "Submitted"))
    body = {"order_ref": entry.order_ref}
    request, _ = request_receive(Asked("user:boss", "c", "boss", RequestKind.CANCEL, body))
    with audit.acting(correlation_id=request.correlation_id):
        cancel_write(entry, market_at=NOW, actor="boss", request=request)
    deliver(report(entry, "Cancelled"))
    asked = {"correlation_id": request.correlation_id}
    assert [leg["order_ref"] for leg in rows(client, "orders", **asked)] == [entry.order_ref]
    types = {event["type"] for event in rows(client, "events", **asked)}
    assert {"ORDER_REQUESTED", "ORDER_CANCEL_REQUESTED", "ORDER_CANCELLED", "ORDER_CHANGE_ACKED"} <= types
    assert "ORDER_ACCEPTED" not in types


# Orders, trades, decisions


def test_orders_are_found_by_every_filter(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "WINDOW", 3)
    bought()
    bracket(strategy("other", ("IBM",)), "IBM")
    mine = list(Order.objects.select_related("strategy", "instrument").order_by("-id"))
    filters: dict[str, tuple[str, Any]] = {
        "account": (ACCOUNT, lambda order: order.account_id == ACCOUNT),
        "strategy": ("other", lambda order: order.strategy.name == "other"),
        "symbol": ("IBM", lambda order: order.instrument.symbol == "IBM"),
        "role": ("stop", lambda order: order.role == "stop"),
        "state": ("FILLED", lambda order: order.state == "FILLED"),
        "side": ("SELL", lambda order: order.side == "SELL"),
    }
    for name, other in combinations_with_replacement(filters, 2):
        (value, keeps), (second, also) = filters[name], filters[other]
        found = rows(client, "orders", **{name: value, other: second}, limit=2)
        wanted = [order.order_ref for order in mine if keeps(order) and also(order)]
        assert [row["order_ref"] for row in found] == wanted, (name, other)
    assert rows(client, "orders", symbol="NOPE") == rows(client, "orders", strategy="nobody") == []
    assert rows(client, "orders", account="DU0") == []
    for unknown in ({"symbol": "NOPE"}, {"strategy": "nobody", "from": "2000-01-01"}):
        assert client.get("/api/history/orders", unknown).json() == {"results": [], "next": None}


def test_orders_made_in_any_order_are_found_by_time(client: Client) -> None:
    legs = bought()
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    # The clock may have been set back between two orders: the later row is the earlier order.
    for hours, leg in enumerate(legs):
        Order.objects.filter(pk=leg.pk).update(created_at=noon - timedelta(hours=hours))
    found = rows(client, "orders", **{"from": "2026-01-01T11:00:00Z", "to": "2026-01-01T13:00:00Z"}, limit=1)
    assert [row["order_ref"] for row in found] == [legs[0].order_ref, legs[1].order_ref]
    Order.objects.update(created_at=noon)
    found = rows(client, "orders", **{"from": "2026-01-01T12:00:00Z"}, limit=1)
    assert [row["order_ref"] for row in found] == [leg.order_ref for leg in reversed(legs)]
    assert rows(client, "orders", **{"from": "2026-01-01", "role": "stop"})[0]["order_ref"] == legs[1].order_ref


def test_an_order_is_told_with_exact_numbers_and_null_for_none(client: Client) -> None:
    entry, stop, _ = bought()
    told = {row["order_ref"]: row for row in rows(client, "orders")}
    filled, waiting = told[entry.order_ref], told[stop.order_ref]
    assert (filled["quantity"], filled["filled"], filled["avg_price"], filled["limit_price"]) == (
        "10",
        "10",
        "100",
        "101",
    )
    assert (waiting["filled"], waiting["avg_price"], waiting["limit_price"], waiting["stop_price"]) == (
        "0",
        None,
        None,
        "95",
    )
    assert (waiting["parent"], filled["parent"]) == (entry.order_ref, None)
    assert (filled["account"], filled["strategy"], filled["symbol"], filled["state"]) == (
        ACCOUNT,
        "s",
        "AAPL",
        "FILLED",
    )
    assert datetime.fromisoformat(filled["created_at"]).tzinfo is not None
    assert filled["cancel_requested_at"] is None


def test_one_order_is_told_with_its_fills_changes_and_events(client: Client) -> None:
    entry, *_ = bought()
    story = client.get(f"/api/history/orders/{entry.order_ref}").json()
    assert story["order"] == next(row for row in rows(client, "orders") if row["role"] == "entry")
    fill = Fill.objects.get()
    assert story["fills"] == [
        {
            "exec_id": fill.exec_id, "side": "BUY", "quantity": "10", "price": "100", "commission": "1",
            "realized_pnl": None, "superseded": False, "trade": fill.trade_id, "time": _iso(fill.time),
            "at": _iso(fill.at),
        }
    ]  # fmt: skip
    assert story["changes"] == []
    assert [event["new_state"] for event in story["events"]][-1] == "FILLED"
    assert refused(client.get("/api/history/orders/NOPE-E"))[:2] == (404, "UNKNOWN_ORDER")


def _iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def test_trades_are_told_open_and_closed(client: Client) -> None:
    bought()
    row = rows(client, "trades", state="OPEN", symbol="AAPL", side="long", strategy="s", account=ACCOUNT)[0]
    trade = Trade.objects.get()
    assert row == {
        "id": trade.pk, "account": ACCOUNT, "strategy": "s", "symbol": "AAPL", "decision": trade.decision_id,
        "side": "long", "state": "OPEN", "quantity": "10", "open_quantity": "10", "entry_price": "100",
        "exit_price": None, "commission": "1", "pnl": None, "opened_at": _iso(trade.opened_at), "closed_at": None,
        "result": "open", "fees_pending": 0,
    }  # fmt: skip
    assert rows(client, "trades", state="CLOSED") == []
    later = (trade.opened_at + timedelta(seconds=1)).isoformat()
    assert len(rows(client, "trades", to=later)) == 1
    assert rows(client, "trades", **{"from": later}) == []


def test_a_result_is_told_once_it_is_final(client: Client) -> None:
    bought()
    trade = Trade.objects.get()

    def told() -> tuple[str, str | None, int]:
        """The same from the API and, with nothing for no amount, from the page's file."""
        (row,) = rows(client, "trades")
        lines = b"".join(client.get("/trades.csv").streaming_content).decode().split("\r\n")  # type: ignore[attr-defined]
        filed = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
        found = (row["result"], row["pnl"], row["fees_pending"])
        assert found == (filed["result"], filed["pnl"] or None, int(filed["fees_pending"]))
        return found

    assert told() == ("open", None, 0)
    Trade.objects.update(state="CLOSED", pnl=D("12.5"), closed_at=trade.opened_at)
    assert told() == ("final", "12.5", 0)
    Fill.objects.update(commission=None)
    assert told() == ("commission awaited", None, 1)
    # Linked to the trade that it begins, it is the end of this one as well.
    Fill.objects.update(trade=None, time=trade.opened_at)
    assert told() == ("commission awaited", None, 1)
    Instrument.objects.update(sec_type="FUT")
    assert told() == ("not reckoned", None, 1)
    Fill.objects.update(commission=1)
    assert told() == ("not reckoned", None, 0)


def test_each_part_of_a_decision_is_for_who_may_see_it(db: None) -> None:
    entry, *_ = bought()
    path, parts = f"history/decisions/{entry.decision_id}", ("analyses", "verdicts", "orders")
    for part, codename in zip(parts, ("view_analysis", "view_riskverdict", "view_order"), strict=True):
        story = someone(part, "trading.view_decision", f"trading.{codename}").get(path).json()
        assert [name for name in parts if story[name] is not None] == [part]
    assert someone("other", "trading.view_analysis").get(path).status_code == 403
    names = ("trading.view_decision", "trading.view_analysis", "trading.view_riskverdict", "trading.view_order")
    story = program("owner", *names, scopes=("read",)).get(path).json()
    assert [name for name in parts if story[name] is None] == []


def test_decisions_are_told_with_the_controls_words(client: Client) -> None:
    entry, *_ = bought()
    assert entry.decision is not None
    entry.decision.verdicts.create(rule="r1", allowed=True, message="fine", at=system_now())
    entry.decision.verdicts.create(rule="r2", allowed=False, code="TOO_MUCH", message="no", at=system_now())
    held = decided(claimed(strategy("other", ("IBM",)), "IBM"), "buy")
    found = rows(client, "decisions")
    assert [row["id"] for row in found] == [held.pk, entry.decision_id]
    assert found[1]["verdicts"] == {"allowed": 1, "refused": ["TOO_MUCH"]}
    assert found[0]["verdicts"] == {"allowed": 0, "refused": []}
    assert (found[1]["price"], found[1]["reward_ratio"], found[1]["quantity"]) == ("100", "2", "10")
    assert [row["id"] for row in rows(client, "decisions", strategy="other", type="buy")] == [held.pk]
    story = client.get(f"/api/history/decisions/{entry.decision_id}").json()
    assert story["decision"] == found[1]
    assert [(word["rule"], word["allowed"], word["values"]) for word in story["verdicts"]] == [
        ("r1", True, {}),
        ("r2", False, {}),
    ]
    assert [order["role"] for order in story["orders"]] == ["entry", "stop", "target"]
    assert story["analyses"] == []
    for unknown in (0, 10**18, 10**30):
        assert client.get(f"/api/history/decisions/{unknown}").status_code == 404


# What is refused, and to whom


@pytest.mark.parametrize(
    ("path", "asked", "field"),
    [
        ("events", {"type": "NOPE"}, "type"),
        ("events", {"after": "yesterday"}, "after"),
        ("events", {"after": "0001-01-01T00:00:00+14:00"}, "after"),
        ("events", {"after_id": "-1"}, "after_id"),
        ("events", {"after_id": str(2**63)}, "after_id"),
        ("events", {"after_id": "1.5"}, "after_id"),
        ("events", {"after_id": "9" * 5000}, "after_id"),
        ("events", {"after_id": "NaN"}, "after_id"),
        ("events", {"subject": "x" * 81}, "subject"),
        ("orders", {"state": "filled"}, "state"),
        ("orders", {"side": "LONG"}, "side"),
        ("orders", {"role": ""}, "role"),
        ("trades", {"side": "BUY"}, "side"),
        ("decisions", {"type": "short"}, "type"),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_name(client: Client, path: str, asked: dict[str, str], field: str) -> None:
    assert refused(client.get(f"/api/history/{path}", asked)) == (422, "INVALID", field)


@pytest.mark.parametrize("path", ["events", "orders", "trades", "decisions"])
def test_an_unknown_parameter_is_refused_by_its_name(client: Client, path: str) -> None:
    assert refused(client.get(f"/api/history/{path}", {"nope": "1"})) == (422, "UNKNOWN_FIELD", "nope")
    assert refused(client.get("/api/history/orders/A-E", {"limit": "1"})) == (422, "UNKNOWN_FIELD", "limit")


def _key(**limits: Any) -> dict[str, str]:
    owner = User.objects.get(username="boss")
    terms = Terms(name="k", scopes=("read",), expires_at=default_expiry(system_now()), **limits)
    return {"Authorization": f"Bearer {key_create(terms, user=owner, actor='boss')[1]}"}


def test_a_limited_key_sees_its_accounts_and_strategies_alone(client: Client) -> None:
    entry, *_ = bought()
    other = bracket(strategy("other", ("IBM",)), "IBM")[0]
    assert other.strategy is not None
    mine, nobodys, theirs = _key(accounts=[ACCOUNT]), _key(accounts=["DU0"]), _key(strategies=[other.strategy.pk])
    asking = Client()
    for path, count in {"orders": 6, "decisions": 2, "trades": 1}.items():
        told = [asking.get(f"/api/history/{path}", headers=key).json() for key in (mine, nobodys)]
        assert [len(answer["results"]) for answer in told] == [count, 0]
    found = asking.get("/api/history/orders", headers=theirs).json()["results"]
    assert {row["strategy"] for row in found} == {"other"}
    assert asking.get(f"/api/history/orders/{other.order_ref}", headers=theirs).status_code == 200
    for path, key in {
        f"orders/{entry.order_ref}": theirs,
        f"decisions/{entry.decision_id}": theirs,
        "events": theirs,
        f"orders/{other.order_ref}": nobodys,
    }.items():
        assert refused(asking.get(f"/api/history/{path}", headers=key))[:2] == (403, "KEY_LIMITED")
    events = asking.get("/api/history/events", {"limit": 500}, headers=mine).json()["results"]
    assert {event["account"] for event in events} == {ACCOUNT}


def test_every_state_and_type_can_be_asked_for(client: Client) -> None:
    assert [value for value, _ in EventFilters.base_filters["type"].extra["choices"]] == [
        kind.value for kind in EventType
    ]
    assert [value for value, _ in OrderFilters.base_filters["state"].extra["choices"]] == OrderState.values
    assert rows(client, "orders", state="ABSENT") == rows(client, "events", type="BUST") == []
