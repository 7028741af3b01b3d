"""A row's text is made once, and again as soon as the row says anything else."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import orjson
import pytest
from django.test import Client

from autotrader.core.rest.kept_texts import KeptTexts, RawRows
from autotrader.core.users.models import User
from tests.trading.builders import NOW, bought, claimed, decided, strategy
from trading.api.history import OrdersEndpoint
from trading.models import Instrument, Order, RiskVerdict
from trading.selectors.history import orders


class Making:
    """Counts the documents that it makes."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def __call__(self, values: Mapping[str, Any], more: Hashable) -> dict[str, Any]:
        self.made.append(values["symbol"])
        return {"symbol": values["symbol"], "currency": values["currency"], "more": more}


@pytest.fixture
def instruments(db: None) -> list[int]:
    return [Instrument.objects.create(symbol=f"I{number}", con_id=number + 1).pk for number in range(4)]


def raw() -> RawRows:
    return RawRows(Instrument.objects.order_by("pk").values("id", "symbol", "currency"), "id")


def told(texts: KeptTexts, more: list[Hashable] | None = None) -> list[Any]:
    return [orjson.loads(orjson.dumps(text)) for text in texts.of(raw(), more)]


def test_a_row_is_made_once_and_anew_when_it_has_changed(instruments: list[int]) -> None:
    make = Making()
    texts = KeptTexts(make)
    first = told(texts)
    assert told(texts) == first
    assert make.made == ["I0", "I1", "I2", "I3"]
    Instrument.objects.filter(pk=instruments[2]).update(currency="EUR")
    assert [row["currency"] for row in told(texts)] == ["USD", "USD", "EUR", "USD"]
    assert make.made[4:] == ["I2"]


def test_what_is_said_beside_a_row_counts_as_the_row(instruments: list[int]) -> None:
    make = Making()
    texts = KeptTexts(make)
    told(texts, [1, 1, 1, 1])
    assert [row["more"] for row in told(texts, [1, (2, "x"), 1, 1])] == [1, [2, "x"], 1, 1]
    assert make.made[4:] == ["I1"]


def test_no_more_than_twice_so_many_are_kept_and_the_used_ones_stay(instruments: list[int]) -> None:
    make = Making()
    texts = KeptTexts(make, most=2)
    for _ in range(3):
        assert [row["symbol"] for row in told(texts)] == ["I0", "I1", "I2", "I3"]
    assert len(texts._young) + len(texts._old) <= 4
    wide = KeptTexts(make, most=4)
    told(wide)
    before = len(make.made)
    told(wide)
    assert len(make.made) == before


def test_no_more_bytes_than_so_many_are_kept(instruments: list[int]) -> None:
    make = Making()
    large = KeptTexts(lambda values, more: {**make(values, more), "text": "x" * 1_000}, most_bytes=6_000)
    for _ in range(3):
        assert [row["symbol"] for row in told(large)] == ["I0", "I1", "I2", "I3"]
        assert (len(large._young), len(large._old)) == (2, 2)
    one = KeptTexts(lambda values, more: {"text": "x" * 1_000}, most_bytes=1)
    assert len(told(one)) == 4
    assert (len(one._young), len(one._old)) == (1, 1)


def test_an_answer_has_so_many_bytes_or_one_row(instruments: list[int]) -> None:
    make = Making()
    size = len(orjson.dumps({"symbol": "I0", "currency": "USD", "more": None}))
    for room, count in ((4 * size, 4), (4 * size - 1, 3), (size, 1), (1, 1)):
        assert [row["symbol"] for row in told(KeptTexts(make, page_bytes=room))] == ["I0", "I1", "I2", "I3"][:count]


@pytest.mark.parametrize("asked", [{}, {"role": "stop"}, {"from": "2000-01-01T00:00:00Z"}])
def test_a_page_of_large_rows_ends_early_and_the_next_goes_on(
    db: None, asked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password="x"))
    row = strategy(symbols=("AAPL", "IBM"))
    bought(row)
    bought(row, "IBM")
    whole = client.get("/api/history/orders", asked).json()
    assert whole["next"] is None
    monkeypatch.setattr(OrdersEndpoint.texts, "_page_bytes", len(orjson.dumps(whole["results"][0])) + 100)
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get("/api/history/orders", asked | cursor).json()
        assert len(page["results"]) == 1
        found += page["results"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert found == whole["results"]


def test_raw_rows_are_the_querysets_own(db: None) -> None:
    bought()
    rows = RawRows(orders().order_by("-id"), "id")
    assert list(rows) == list(orders().order_by("-id"))
    assert rows.keys() == [row.pk for row in Order.objects.order_by("-id")]
    assert list(rows.in_order([rows.key(1), 10**9, rows.key(0)])) == list(orders().order_by("id")[1:3])
    assert list(RawRows(orders().none(), "id")) == []


def test_the_lists_tell_what_has_changed_since(db: None) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password="x"))
    entry, *_ = bought()

    def state() -> list[str]:
        found = client.get("/api/history/orders").json()["results"]
        return [row["state"] for row in found if row["order_ref"] == entry.order_ref]

    assert state() == ["FILLED"]
    Order.objects.filter(pk=entry.pk).update(state="UNKNOWN")
    assert state() == ["UNKNOWN"]
    assert len(OrdersEndpoint.texts._young) >= 4


def test_a_controls_late_word_is_told_of_a_decision_that_was_told_before(db: None) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password="x"))
    decision = decided(claimed(strategy()))

    def words() -> Any:
        return client.get("/api/history/decisions").json()["results"][0]["verdicts"]

    before = words()
    RiskVerdict.objects.create(decision=decision, rule="P1", allowed=False, code="LATE", message="", at=NOW)
    assert words() == {"allowed": before["allowed"], "refused": [*before["refused"], "LATE"]}
