"""The live reader loses nothing, and the check that runs in production says what is broken."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from autotrader.core.audit.models import AuditHead, Event
from autotrader.core.audit.tail import TailBroken, read_after
from tests.crash.harness.reader import follow, seen
from tests.crash.harness.world import rows
from tests.crash.sound import orders
from tests.database import append_only_lifted
from trading.models import Order

__all__ = ["orders"]
pytestmark = pytest.mark.django_db


def test_the_reader_goes_on_where_it_was_killed(tmp_path: Path, orders: list[Order]) -> None:
    log = tmp_path / "seen"
    log.write_bytes(b"1\n2\n3")  # the last line was being written
    follow(log, ends=lambda: True)
    assert seen(log) == list(range(1, AuditHead.objects.get().seq + 1))


def test_the_log_is_read_in_order_and_a_missing_row_is_no_silence(orders: list[Order]) -> None:
    head = AuditHead.objects.get().seq
    assert [event.seq for event in read_after(0, 3)] == [1, 2, 3]
    assert [event.seq for event in read_after(head - 1)] == [head]
    assert not read_after(head)
    with connection.cursor() as cursor, append_only_lifted(cursor):
        Event.objects.filter(seq=2).delete()
    with pytest.raises(TailBroken):
        read_after(0)


def test_the_self_check_says_what_is_broken_and_writes_nothing(orders: list[Order]) -> None:
    out = StringIO()
    call_command("self_check", "--json", stdout=out)
    assert json.loads(out.getvalue())["ok"]
    Order.objects.filter(pk=orders[0].pk).update(filled_quantity=3)
    out, before = StringIO(), rows()
    with pytest.raises(SystemExit, match="1"):
        call_command("self_check", "--json", stdout=out)
    (broken,) = json.loads(out.getvalue())["violations"]
    assert (broken["rule"], broken["subject"]) == ("quantities", f"order:{orders[0].order_ref}")
    assert rows() == before
