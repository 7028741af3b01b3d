"""What waits for the workers: rows that are free to be taken, by the database's clock, and for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest

from autotrader.core.clock import system_now
from tests.trading.builders import claimed, strategy
from trading.models import WorkflowExecution
from trading.selectors.lanes import Waiting, waiting

MINUTE = timedelta(minutes=1)


def found() -> Waiting:
    return next(lane for lane in waiting() if lane.lane == "work")


@pytest.mark.parametrize(
    ("changes", "is_free"),
    [
        ({"state": "QUEUED", "created_at": -MINUTE}, True),
        ({"state": "WAITING", "due_at": -MINUTE}, True),
        ({"state": "WAITING", "due_at": MINUTE}, False),
        ({"state": "RUNNING", "lease_until": -MINUTE}, True),
        ({"state": "RUNNING", "lease_until": MINUTE}, False),
        ({"state": "DONE"}, False),
    ],
)
def test_a_row_waits_since_it_could_be_taken(db: None, changes: dict[str, object], is_free: bool) -> None:
    row = claimed(strategy())
    now = system_now()
    times = {name: now + value if isinstance(value, timedelta) else value for name, value in changes.items()}
    WorkflowExecution.objects.filter(pk=row.pk).update(lane="work", created_at=now - 5 * MINUTE)
    WorkflowExecution.objects.filter(pk=row.pk).update(**times)
    lane = found()
    since = (system_now() - now).total_seconds()
    assert lane.waiting == int(is_free)
    assert 59 <= lane.oldest_s <= 61 + since if is_free else lane.oldest_s == 0


def test_lanes_without_work_wait_for_nothing(db: None) -> None:
    assert waiting() == [Waiting("work", 0, 0.0), Waiting("now", 0, 0.0)]
