"""The database itself refuses to change the audit log, and the suite can still empty it between tests."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.db import IntegrityError, connection, transaction

from autotrader.core.audit import record, recording
from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import GENESIS, AuditHead, Event
from autotrader.core.audit.verify import verify_chain
from tests import database

EVERYWHERE = (
    "UPDATE audit_event SET cause = 'another'",
    "DELETE FROM audit_event",
    "DELETE FROM audit_audithead",
)
BY_VENDOR = {
    "sqlite": (
        "INSERT OR REPLACE INTO audit_event SELECT * FROM audit_event",
        "REPLACE INTO audit_audithead SELECT * FROM audit_audithead",
    ),
    "postgresql": ("TRUNCATE audit_event", "TRUNCATE audit_audithead", "TRUNCATE audit_event, audit_audithead CASCADE"),
}


def record_events(count: int) -> None:
    with recording():
        for number in range(count):
            record(EventType.CYCLE_QUEUED, f"cycle:{number}", version=1)


def refuses(statement: str) -> bool:
    with transaction.atomic(), connection.cursor() as cursor:
        try:
            with transaction.atomic():
                cursor.execute(statement)
        except IntegrityError:
            return True
    return False


def test_no_statement_changes_or_removes_a_row(db: None) -> None:
    record_events(2)
    accepted = [statement for statement in EVERYWHERE + BY_VENDOR[connection.vendor] if not refuses(statement)]
    assert accepted == []
    assert verify_chain().rows == 2
    assert verify_chain().ok


def test_the_orm_is_refused_as_well(db: None) -> None:
    record_events(1)
    event = Event.objects.get()
    event.cause = "another"
    for change in (event.save, event.delete, Event.objects.all().delete, AuditHead.objects.all().delete):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()
    assert Event.objects.get().cause == ""


def test_restoring_leaves_the_database_as_the_migrations_made_it(transactional_db: None) -> None:
    permissions = Permission.objects.count()
    for _ in range(2):
        record_events(3)
        Permission.objects.first().delete()
        database.restore_baseline()
        head = AuditHead.objects.get()
        assert (Event.objects.count(), head.seq, head.hash) == (0, 0, GENESIS)
        assert Permission.objects.count() == permissions > 0


@pytest.mark.parametrize("time", ["first", "second"])
def test_a_transactional_test_starts_with_an_empty_log(transactional_db: None, time: str) -> None:
    record_events(2)
    assert list(Event.objects.order_by("seq").values_list("seq", flat=True)) == [1, 2]


def test_the_triggers_are_back_after_restoring(transactional_db: None) -> None:
    database.restore_baseline()
    record_events(1)
    assert all(refuses(statement) for statement in EVERYWHERE + BY_VENDOR[connection.vendor])


def test_restoring_refuses_a_database_that_is_not_for_tests(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "NAME", "/srv/autotrader.sqlite3")
    with pytest.raises(RuntimeError, match="not a test database"):
        database.restore_baseline()
