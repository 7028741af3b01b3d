"""Anchors: eight kinds of tampering each found, the first bad row named; and the file of anchors guards itself."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from autotrader.core.audit import acting, anchors, record, recording
from autotrader.core.audit.anchors import AnchorsBroken, anchor_due, anchor_take, anchors_path, anchors_read
from autotrader.core.audit.chain import HASHED_FIELDS, canonical, event_hash, instant
from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import GENESIS, AuditHead, Event
from autotrader.core.audit.verify import verify_chain
from tests import database
from tests.core.test_audit import INSERT, SWAP, tamper

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Settings) -> Path:
    settings.AUTOTRADER_ANCHOR_DIR = str(tmp_path / "anchors")
    return tmp_path


def grow(rows: int, first: int = 0) -> None:
    with acting(actor="ann", correlation_id=f"c{first}"), recording():
        for number in range(first, first + rows):
            record(EventType.CYCLE_QUEUED, f"order:{number}", version=1, document={"quantity": number})


def rewrite(row: int) -> None:
    """Change a row and compute every hash after it anew, with the head: the chain is whole again."""
    previous = Event.objects.get(seq=row).previous_hash
    with transaction.atomic(), connection.cursor() as cursor, database.append_only_lifted(cursor):
        cursor.execute("UPDATE audit_event SET document = '{}' WHERE seq = %s", [row])
        for event in Event.objects.filter(seq__gte=row).order_by("seq"):
            fields = {name: getattr(event, name) for name in HASHED_FIELDS}
            digest = event_hash(previous, event.seq, event.at, event.market_at, fields)
            cursor.execute(
                "UPDATE audit_event SET previous_hash = %s, hash = %s WHERE seq = %s", [previous, digest, event.seq]
            )
            previous = digest
        cursor.execute("UPDATE audit_audithead SET hash = %s", [previous])


def restore_older(rows: int) -> None:
    """The database as it was when it had `rows` rows, head and all."""
    tamper(f"DELETE FROM audit_event WHERE seq > {rows}")
    AuditHead.objects.update(seq=rows, hash=Event.objects.get(seq=rows).hash)


@pytest.mark.django_db(transaction=True)
def test_a_rewritten_chain_that_is_anchored_once_more_at_the_same_row_shows_all_the_same() -> None:
    """On a quiet desk the next anchor is of the same row; it must not take the place of the genuine one."""
    grow(4)
    anchor_take(NOW)
    rewrite(2)
    anchor_take(NOW + timedelta(minutes=5))
    verdict = verify_chain()
    assert not verdict.ok
    assert "written anew" in verdict.reason


@pytest.mark.parametrize(
    ("change", "row"),
    [
        pytest.param(lambda: tamper("UPDATE audit_event SET actor = 'eve' WHERE seq = 3"), 3, id="edit"),
        pytest.param(lambda: tamper("DELETE FROM audit_event WHERE seq = 2"), 3, id="delete"),
        pytest.param(lambda: tamper(INSERT.replace("SELECT 6", "SELECT 9")), 9, id="insert"),
        pytest.param(lambda: tamper(*(text.replace("2", "4") for text in SWAP)), 3, id="reorder"),
        pytest.param(lambda: tamper("DELETE FROM audit_event WHERE seq >= 7"), 7, id="cut the tail"),
        pytest.param(lambda: tamper(*SWAP), 2, id="swap"),
        pytest.param(lambda: rewrite(6), 6, id="rewrite and rehash"),
        pytest.param(lambda: restore_older(5), 6, id="restore an older copy"),
    ],
)
def test_each_kind_of_tampering_is_found_and_the_first_bad_row_named(
    db: None, change: Callable[[], None], row: int
) -> None:
    grow(5)
    anchor_take(NOW)
    grow(3, 5)
    anchor_take(NOW + timedelta(minutes=5))
    assert (verify_chain().ok, verify_chain().anchors) == (True, 2)
    change()
    assert verify_chain().bad_seq == row


def test_without_an_anchor_a_chain_written_anew_looks_whole(db: None) -> None:
    grow(5)
    rewrite(2)
    assert verify_chain().ok


def test_rows_written_while_the_chain_is_walked_do_not_break_it(db: None) -> None:
    grow(2)
    anchor_take(NOW)
    grow(2, 2)
    assert verify_chain().rows == 4


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda text: text.replace('"seq": 2', '"seq": 3'), id="edited"),
        pytest.param(lambda text: text.split("\n", 1)[1], id="first line lost"),
        pytest.param(lambda text: text.split("\n")[0] + "\n" + text.split("\n")[2] + "\n", id="middle line lost"),
        pytest.param(lambda text: "no anchor\n" + text, id="foreign line"),
        pytest.param(lambda text: text + text.split("\n")[0] + "\n", id="old line again"),
    ],
)
def test_a_changed_file_of_anchors_is_told(db: None, spoil: Callable[[str], str]) -> None:
    for number in range(3):
        grow(1, number)
        anchor_take(NOW + timedelta(minutes=number))
    anchors_path().write_text(spoil(anchors_path().read_text()))
    with pytest.raises(AnchorsBroken):
        anchors_read()
    assert not verify_chain().ok
    with pytest.raises(AnchorsBroken):
        anchor_take(NOW + timedelta(minutes=9))


def test_a_line_that_a_crash_cut_off_is_left_out_and_replaced(db: None) -> None:
    grow(1)
    anchor_take(NOW)
    whole = anchors_path().read_text()
    anchors_path().write_text(whole + whole[:40])
    assert len(anchors_read()) == 1
    anchor_take(NOW + timedelta(minutes=5))
    assert [anchor.at for anchor in anchors_read()] == [NOW.isoformat(), (NOW + timedelta(minutes=5)).isoformat()]


def test_an_anchor_is_due_every_five_minutes(db: None) -> None:
    assert anchor_due(NOW)
    anchor_take(NOW)
    os.utime(anchors_path(), (NOW.timestamp(), NOW.timestamp()))
    assert not anchor_due(NOW + timedelta(seconds=299))
    assert anchor_due(NOW + timedelta(seconds=300))


def test_it_is_mailed_and_posted_where_the_settings_say(db: None, settings: Settings, httpserver: HTTPServer) -> None:
    settings.AUTOTRADER_ANCHOR_MAIL_TO = ("audit@example.org",)
    settings.AUTOTRADER_ANCHOR_WEBHOOK_URL = httpserver.url_for("/anchors")
    httpserver.expect_oneshot_request("/anchors", method="POST").respond_with_data("")
    grow(2)
    anchor = anchor_take(NOW)
    assert json.loads(str(mail.outbox[0].body))["hash"] == anchor.hash
    posted, _ = httpserver.log[0]
    assert posted.json["signature"] == anchor.signature


def test_what_could_not_be_sent_is_recorded_and_stands_in_the_file(
    db: None, settings: Settings, httpserver: HTTPServer
) -> None:
    settings.AUTOTRADER_ANCHOR_WEBHOOK_URL = httpserver.url_for("/moved")
    httpserver.expect_request("/moved").respond_with_data("", 302, {"Location": httpserver.url_for("/elsewhere")})
    grow(1)
    anchor_take(NOW)
    assert Event.objects.filter(type=EventType.AUDIT_ANCHOR_FAILED).count() == 1
    assert [request.path for request, _ in httpserver.log] == ["/moved"]
    assert len(anchors_read()) == 1


def test_a_copy_kept_elsewhere_is_what_counts(db: None, folder: Path) -> None:
    grow(4)
    anchor_take(NOW)
    copy = folder / "copy.jsonl"
    copy.write_text(anchors_path().read_text())
    anchors_path().unlink()
    rewrite(3)
    call_command("verify_audit")
    with pytest.raises(SystemExit):
        call_command("verify_audit", anchors=copy)
    with pytest.raises(SystemExit):
        call_command("verify_audit", anchors=folder / "none")


def test_of_an_older_copy_no_anchor_is_taken_and_the_file_stays_as_it_was(db: None) -> None:
    grow(5)
    anchor_take(NOW)
    before = anchors_path().read_text()
    restore_older(3)
    with pytest.raises(AnchorsBroken, match="an older copy"):
        anchor_take(NOW + timedelta(minutes=5))
    assert anchors_path().read_text() == before


@pytest.mark.django_db(transaction=True)
def test_of_two_takers_neither_takes_the_other_for_an_older_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that comes second to the file must not write down a head that it had read before."""
    grow(2)
    exclusively = anchors._exclusively

    @contextmanager
    def late() -> Iterator[IO[str]]:
        with monkeypatch.context() as patch:
            patch.setattr(anchors, "_exclusively", exclusively)
            grow(2, 2)
            anchor_take(NOW)
        with exclusively() as file:
            yield file

    monkeypatch.setattr(anchors, "_exclusively", late)
    assert anchor_take(NOW).seq == 4
    assert [anchor.seq for anchor in anchors_read()] == [4, 4]


def test_what_is_not_sent_in_time_is_recorded_and_waited_for_no_longer(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchors, "SEND_S", 0.05)
    ended = threading.Event()
    grow(1)
    anchor_take(NOW, send=lambda anchor: [str(ended.wait(30))])
    ended.set()
    assert "not sent within 0.05 s" in Event.objects.get(type=EventType.AUDIT_ANCHOR_FAILED).cause
    assert len(anchors_read()) == 1


@pytest.mark.parametrize("broken", ["an older copy", "an older copy that has grown", "another key", "a spoilt line"])
def test_a_person_begins_a_new_file_where_the_old_one_does_not_fit(
    db: None, settings: Settings, folder: Path, broken: str
) -> None:
    grow(5)
    anchor_take(NOW)
    if broken == "another key":
        settings.SECRET_KEY = "quite another key"
    elif broken == "a spoilt line":
        anchors_path().write_text(anchors_path().read_text().replace('"seq": 5', '"seq": 4'))
    else:
        restore_older(3)
        grow(4 if broken.endswith("grown") else 0, 3)
    before = anchors_path().read_text()
    with pytest.raises(CommandError, match="--reason"):
        call_command("anchor_audit", begin_anew=True)
    call_command("anchor_audit", begin_anew=True, reason="restored last night's copy")
    (old,) = anchors_path().parent.glob("anchors-until-*.jsonl")
    assert old.read_text() == before
    assert verify_chain().ok
    event = Event.objects.get(type=EventType.AUDIT_ANCHOR_FAILED)
    assert event.actor.startswith("shell:")
    assert "restored last night's copy" in event.cause
    assert old.name in event.cause
    with pytest.raises(CommandError, match="nothing to begin anew"):
        call_command("anchor_audit", begin_anew=True, reason="once more")


def test_anchors_that_fit_are_not_begun_anew(db: None) -> None:
    for rows in (0, 3):
        grow(rows)
        with pytest.raises(CommandError, match="nothing to begin anew"):
            call_command("anchor_audit", begin_anew=True, reason="for fun")
        anchor_take(NOW)
    assert len(anchors_read()) == 2


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(
    seq=st.integers(1, 2**62),
    at=st.datetimes(timezones=st.just(UTC)),
    market_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    texts=st.lists(TEXTS, min_size=9, max_size=9),
    version=st.none() | st.integers(0, 2**40),
    odd=st.booleans(),
)
def test_the_hash_is_that_of_the_canonical_json(
    seq: int, at: datetime, market_at: datetime | None, texts: list[str], version: int | None, odd: bool
) -> None:
    import hashlib

    names = [name for name in HASHED_FIELDS if name not in ("subject_version", "quarantined")]
    fields = {**dict(zip(names, texts, strict=True)), "subject_version": version, "quarantined": odd}
    body = {**fields, "seq": seq, "at": instant(at), "market_at": instant(market_at) if market_at else None}
    expected = hashlib.sha256((GENESIS + canonical(body)).encode()).hexdigest()
    assert event_hash(GENESIS, seq, at, market_at, fields) == expected
