"""A cluster is stalled only where tasks wait and none has been finished for long."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django_q.models import OrmQ
from django_q.signals import post_execute
from pytest_django import Settings

from autotrader.core.clock import system_now
from autotrader.core.ops import heartbeat

LONG = heartbeat.SILENCE * 2


@pytest.fixture(autouse=True)
def state(settings: Settings, tmp_path: Path) -> None:
    settings.AUTOTRADER_STATE_DIR = tmp_path


def beat(cluster: str, *, seconds_ago: float) -> None:
    path = heartbeat.heartbeat_path(cluster)
    path.touch()
    at = time.time() - seconds_ago
    os.utime(path, (at, at))


def put_task(cluster: str, *, seconds_ago: float) -> None:
    OrmQ.objects.create(key=cluster, payload="x", lock=system_now() - timedelta(seconds=seconds_ago))


def test_a_waiting_task_and_no_sign_of_life_is_a_stall(db: None) -> None:
    put_task("work", seconds_ago=LONG)
    assert "no task finished" in heartbeat.stalled("work", LONG)
    beat("work", seconds_ago=LONG)
    assert "no task finished" in heartbeat.stalled("work", LONG)


@pytest.mark.parametrize(
    ("cluster", "last_beat", "queued", "running_for"),
    [
        pytest.param("work", 5, LONG, LONG, id="it works"),
        pytest.param("work", LONG, 5, LONG, id="the task is fresh"),
        pytest.param("work", LONG, -600, LONG, id="the task is taken"),
        pytest.param("now", LONG, LONG, LONG, id="the task is another cluster's"),
        pytest.param("work", LONG, LONG, 5, id="the cluster has just started"),
    ],
)
def test_everything_else_is_none(db: None, cluster: str, last_beat: float, queued: float, running_for: float) -> None:
    beat(cluster, seconds_ago=last_beat)
    put_task("work", seconds_ago=queued)
    assert heartbeat.stalled(cluster, running_for) == ""


def test_an_idle_cluster_is_not_stalled(db: None) -> None:
    assert heartbeat.stalled("work", LONG) == ""


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("Q_CLUSTER_NAME", "now")
    heartbeat.connect()
    yield
    post_execute.disconnect(dispatch_uid="heartbeat")


def test_a_settled_task_is_a_sign_of_life(connected: None) -> None:
    post_execute.send(sender="test", task={})
    assert heartbeat.heartbeat_path("now").exists()


def test_the_longest_task_is_no_stall() -> None:
    assert settings.Q_CLUSTER["timeout"] < heartbeat.SILENCE
