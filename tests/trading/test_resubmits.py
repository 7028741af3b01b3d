"""Sending a failed task again: only what does nothing twice, once a form, and with the event that says who did."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.utils.module_loading import import_string
from django_q.models import Failure, OrmQ

from autotrader.core.audit.models import Event
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict
from trading.services.resubmits import SAFE, resubmit_problem, task_resubmit

pytestmark = pytest.mark.django_db


def failed(func: str = "trading.tasks.work", *args: object, **kwargs: object) -> Failure:
    """A task as django-q leaves it when it raised."""
    now = system_now()
    return Failure.objects.create(
        id=uuid4().hex, name="a-task", func=func, args=args, kwargs=kwargs, result="it fell over", cluster="work",
        started=now, stopped=now, success=False,
    )  # fmt: skip


def test_the_tasks_that_may_come_twice_exist() -> None:
    assert all(callable(import_string(name)) for name in SAFE)


@pytest.mark.parametrize(
    ("func", "args", "cluster"),
    [
        ("trading.tasks.work", (), "work"),
        ("trading.tasks.work", ("now",), "now"),
        ("trading.tasks.wake", (), "work"),
        ("trading.tasks.reask", ("a-correlation-id",), "work"),
    ],
)
def test_it_is_put_into_its_queue_once_a_form(
    func: str, args: tuple[str, ...], cluster: str, django_capture_on_commit_callbacks: Any
) -> None:
    task, key = failed(func, *args), uuid4().hex
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(2):
            assert task_resubmit(task.pk, actor="ann", key=key)
    assert [(row.task["func"], tuple(row.task["args"]), row.key) for row in OrmQ.objects.all()] == [
        (func, args, cluster)
    ]
    (event,) = Event.objects.filter(type="TASK_RESUBMITTED")
    assert (event.actor, event.subject) == ("ann", f"task:{task.pk}")
    assert Failure.objects.filter(pk=task.pk).exists()


@pytest.mark.parametrize(
    ("func", "args", "kwargs", "reason"),
    [
        ("os.system", ("true",), {}, "not among the tasks"),
        ("trading.services.orders.entry_write", (), {}, "not among the tasks"),
        ("trading.tasks.work", ("work", "more"), {}, "something else than it takes"),
        ("trading.tasks.work", (7,), {}, "something else than it takes"),
        ("trading.tasks.wake", (), {"a": 1}, "something else than it takes"),
        ("trading.tasks.reask", (), {}, "something else than it takes"),
    ],
)
def test_another_is_refused_with_the_reason(
    func: str, args: tuple[Any, ...], kwargs: dict[str, Any], reason: str, django_capture_on_commit_callbacks: Any
) -> None:
    task = failed(func, *args, **kwargs)
    assert reason in resubmit_problem(task)
    with django_capture_on_commit_callbacks(execute=True), pytest.raises(Conflict, match=reason):
        task_resubmit(task.pk, actor="ann", key=uuid4().hex)
    assert not OrmQ.objects.exists()
    assert not Event.objects.filter(type="TASK_RESUBMITTED").exists()


def test_a_task_that_is_gone_is_said() -> None:
    with pytest.raises(Conflict, match="not among the failed ones any more"):
        task_resubmit("nothing", actor="ann", key=uuid4().hex)
