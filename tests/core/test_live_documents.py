"""The one form of an event, and the page that tells it."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from autotrader.core.audit.event_types import EventType
from autotrader.core.live.documents import EventDocument, event_document, event_text
from tests.support import ROOT

PAGE = (ROOT / "docs" / "events.md").read_text()


def row(document: str = "{}", **changes: Any) -> Any:
    at = datetime(2026, 11, 21, 14, 30, tzinfo=timezone(timedelta(hours=-5)))
    told = {"seq": 7, "at": at, "market_at": None, "type": "ORDER_FILLED", "account": "DU1", "actor": "ann",
            "correlation_id": "c", "subject": "order:1", "subject_version": 2, "old_state": "", "new_state": "FILLED",
            "cause": "", "document": document, "quarantined": False, "hash": "h"}  # fmt: skip
    return SimpleNamespace(**{**told, **changes})


def test_a_document_has_the_names_that_are_described() -> None:
    assert list(event_document(row())) == [field.name for field in fields(EventDocument)]


def test_times_are_told_in_utc_and_in_one_length() -> None:
    assert event_document(row())["at"] == "2026-11-21T19:30:00.000000Z"
    assert event_document(row(market_at=datetime(2019, 6, 3, tzinfo=UTC)))["market_at"] == "2019-06-03T00:00:00.000000Z"


@pytest.mark.parametrize(
    "document", ["{", "[1]", '{"a": NaN}', '{"a": 1e999}', '{"a": -Infinity}', "", "null", '{"a":' * 3000, "9" * 5000]
)
def test_what_no_recorder_of_ours_writes_is_told_as_text(document: str) -> None:
    told = json.loads(event_text(row(document)))
    assert (told["document"], told["quarantined"]) == ({"text": document}, True)


def test_a_line_has_no_second_line_in_it() -> None:
    text = event_text(row(json.dumps({"a": "x\n\ndata: y\u2028\ud800"}), cause="one\r\n\r\nid: 9"))
    assert text.isascii()
    assert len(text.splitlines()) == 1
    assert json.loads(text)["cause"] == "one\r\n\r\nid: 9"


def test_the_page_names_every_type_of_event() -> None:
    missing = [str(kind) for kind in EventType if f"`{kind}`" not in PAGE]
    assert not missing, f"add them to docs/events.md: {missing}"


def test_the_page_tells_the_bounds_that_hold() -> None:
    from autotrader.core.live.rules import Rules

    rules = Rules()
    assert (rules.keep_alive_s, rules.longest_s, rules.largest, rules.waiting) == (15, 600, 512 * 1024, 256)
    assert (rules.per_key, rules.per_person, rules.in_all) == (5, 20, 2000)
    for words in ("each 15 s", "512 KiB or ten minutes", "256 events", "| 5 |", "| 20 |", "| 2,000 |"):
        assert words in PAGE
