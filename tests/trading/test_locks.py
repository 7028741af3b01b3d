"""A row that others refer to is locked so that a commit which refers to it need not wait for the lock's end."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime

import pytest
from django.db import connections, transaction

from autotrader.core import audit
from tests.support import ROOT
from trading.models import Discrepancy
from trading.services.accounts import _locked, account_ensure
from trading.services.discrepancies import discrepancy_open

NOW = datetime(2026, 7, 1, 15, tzinfo=UTC)
ACCOUNT = "DU1"


@pytest.mark.postgres
def test_a_commit_that_refers_to_a_locked_account_does_not_wait(transactional_db: None) -> None:
    # It would wait with the audit log's head in its hand, which the holder of the account asks for next: a deadlock.
    account_ensure(ACCOUNT)

    def refer() -> None:
        try:
            with audit.recording():
                discrepancy_open(ACCOUNT, "cash", "cash", detail="differs", market_at=NOW)
        finally:
            connections.close_all()

    other = threading.Thread(target=refer)
    with transaction.atomic():
        _locked(ACCOUNT)
        other.start()
        other.join(40)
        has_waited = other.is_alive()
    other.join()

    assert not has_waited
    assert Discrepancy.objects.count() == 1


def test_every_lock_of_the_desk_lets_keys_be_shared() -> None:
    text = {path: path.read_text() for path in sorted((ROOT / "trading" / "services").glob("*.py"))}
    found = {f"{path.name}: {call}" for path in text for call in re.findall(r"select_for_update\((.*)\)", text[path])}

    # The schedule's row is nobody's parent.
    assert {row for row in found if "no_key=True" not in row} <= {'schedules.py: ).filter(name="wake").first('}
