"""A line of the log: JSON, one line, under the id of what caused it, and without secrets."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client, override_settings
from hypothesis import given
from hypothesis import strategies as some

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.ops import log_files, logs, slow_queries
from autotrader.core.ops.correlation import HEADER, sound_id

SECRET = 'p"ss-word\\of the desk'


class Written:
    """What a logger wrote through the formatter of a handler."""

    def __init__(self, logger: logging.Logger, *, as_json: bool = True) -> None:
        self._stream = io.StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.setFormatter(logs.formatter(as_json=as_json, secrets=[SECRET, "short"]))
        self.logger = logger

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def written(request: pytest.FixtureRequest) -> Iterator[Written]:
    name, as_json = getattr(request, "param", ("tests.logs", True))
    logger = logging.getLogger(name)
    found = Written(logger, as_json=as_json)
    logger.addHandler(found.handler)
    level, propagate = logger.level, logger.propagate
    logger.setLevel("INFO")
    logger.propagate = False
    yield found
    logger.setLevel(level)
    logger.propagate = propagate
    logger.removeHandler(found.handler)


def test_a_line_names_its_cause_and_its_process(written: Written) -> None:
    with audit.acting(actor="ada", correlation_id="c-1"):
        written.logger.info("done with %s", "it", extra={"ms": 3})
    (line,) = written.lines
    told = {name: line[name] for name in ("level", "logger", "event", "ms", "actor", "correlation_id")}
    assert told == {
        "level": "info",
        "logger": "tests.logs",
        "event": "done with it",
        "ms": 3,
        "actor": "ada",
        "correlation_id": "c-1",
    }
    assert line["timestamp"].endswith("Z")
    assert {"role", "pid"} <= line.keys()


@given(some.text(max_size=80))
def test_no_text_makes_a_second_line(text: str) -> None:
    for as_json in (True, False):
        found = Written(logging.Logger("x"), as_json=as_json)
        found.logger.addHandler(found.handler)
        found.logger.error("said %s", text, extra={"field": text})
        assert len(found.text.splitlines()) == 1


@pytest.mark.parametrize("written", [("tests.text", False)], indirect=True)
def test_a_traceback_passes_for_no_line_of_its_own(written: Written) -> None:
    try:
        raise ValueError("x\n2026-01-01T00:00:00Z info root all is well")
    except ValueError:
        written.logger.exception("it failed")
    first, *below = written.text.splitlines()
    assert "it failed" in first
    assert below
    assert all(line.startswith("  | ") for line in below)


@pytest.mark.parametrize(
    "said",
    [
        SECRET,
        json.dumps(SECRET),
        "at_Ab3dE6gH_0123456789012345678901234567890123456789012",
        "sk-abcdefghijklmnop1234",
        "Authorization: Bearer abc.def-ghi",
        "postgresql://joe:hidden-word@db/desk",
    ],
)
def test_secrets_are_written_nowhere(written: Written, said: str) -> None:
    try:
        raise RuntimeError(said)
    except RuntimeError:
        written.logger.exception("said %s", said, extra={"url": said, "deep": {"a": [said]}})
    for part in (SECRET, json.dumps(SECRET)[1:-1], "0123456789012345", "abcdefghijklmnop", "abc.def", "hidden-word"):
        assert part not in written.text


def test_fields_named_for_secrets_are_hidden(written: Written) -> None:
    written.logger.info("x", extra={"password": "abc", "api_key": "d", "Set-Cookie": "e", "symbol": "AAPL"})
    (line,) = written.lines
    assert (line["password"], line["api_key"], line["Set-Cookie"], line["symbol"]) == (*["[hidden]"] * 3, "AAPL")


@pytest.mark.parametrize("written", [("autotrader.events", True)], indirect=True)
def test_each_event_has_its_line_once_it_is_committed(db: None, written: Written) -> None:
    with pytest.raises(ValueError, match="undone"), audit.recording():
        audit.record(EventType.CYCLE_QUEUED, "cycle:1")
        raise ValueError("undone")
    with audit.acting(actor="ada", correlation_id="c-2"), audit.recording():
        audit.record(EventType.CYCLE_QUEUED, "cycle:2", version=1, new_state="QUEUED")
        assert written.text == ""
    (line,) = written.lines
    assert (line["event"], line["subject"], line["new_state"]) == ("CYCLE_QUEUED", "cycle:2", "QUEUED")
    assert (line["actor"], line["correlation_id"]) == ("ada", "c-2")


@pytest.mark.parametrize("written", [("autotrader.queries", True)], indirect=True)
def test_a_query_that_takes_long_is_told_without_its_values(db: None, written: Written) -> None:
    slow_queries._watch(connection)
    slow = override_settings(AUTOTRADER_SLOW_QUERY_MS=-1)
    with audit.acting(correlation_id="c-3"), slow, connection.cursor() as cursor:
        cursor.execute("SELECT %s", ["a value"])
    line = written.lines[-1]
    assert line["sql"].startswith("SELECT")
    assert line["correlation_id"] == "c-3"
    assert "a value" not in written.text
    count = len(written.lines)
    with override_settings(AUTOTRADER_SLOW_QUERY_MS=60_000), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert len(written.lines) == count


@pytest.mark.parametrize("written", [("autotrader.requests", True)], indirect=True)
def test_every_answer_tells_its_id_and_has_its_line(db: None, written: Written) -> None:
    client = Client()
    answers = [client.get("/login/"), client.get("/api/nothing"), client.get("/no-page")]
    told = [answer[HEADER] for answer in answers]
    assert len(set(told)) == len(told)
    assert [line["correlation_id"] for line in written.lines] == told
    assert [line["status"] for line in written.lines] == [answer.status_code for answer in answers]
    assert "no-page" not in written.text


def test_a_client_does_not_choose_the_id(db: None) -> None:
    assert Client().get("/login/", headers={HEADER: "mine"})[HEADER] != "mine"


@pytest.mark.parametrize(
    ("told", "taken"), [("a1.B-2_c", "a1.B-2_c"), ("", ""), ("a b", ""), ("x" * 65, ""), ("a\n", "")]
)
def test_only_a_sound_id_is_taken_from_another_process(told: str, taken: str) -> None:
    assert sound_id(told) == taken


def test_a_file_that_has_grown_is_moved_aside_and_followed(tmp_path: Path) -> None:
    path = tmp_path / "web.jsonl"
    handler = WatchedFileHandler(path)
    record = logging.LogRecord("x", logging.INFO, "", 0, "a line", (), None)
    handler.emit(record)
    assert log_files.rotate(tmp_path, largest=100) == []
    assert log_files.rotate(tmp_path, largest=1) == [path]
    handler.emit(record)
    handler.close()
    assert path.read_text() == (tmp_path / "web.jsonl.1").read_text() == "a line\n"


def test_the_settings_say_where_files_lie(tmp_path: Path) -> None:
    assert log_files.log_folder(settings.LOGGING) is None
    kept = {"handlers": {"file": {"filename": str(tmp_path / "web.jsonl")}}}
    assert log_files.log_folder(kept) == tmp_path


def test_what_is_known_to_be_away_is_not_told_for_each_request() -> None:
    known = logs.Known()
    for status, is_told in ((503, False), (500, True), (502, True)):
        record = logging.makeLogRecord({"status_code": status})
        assert known.filter(record) is is_told
    assert known.filter(logging.makeLogRecord({}))


def test_a_value_that_is_no_json_is_told_as_text(written: Written) -> None:
    written.logger.info("x", extra={"what": object, "size": sys.maxsize, "bytes": b"\xff"})
    assert "object" in written.lines[0]["what"]
