"""get_broker: this process's owner, a new one, or the one elsewhere; never a second, never a guess."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from pytest_django import Settings

from autotrader.core.ops.single import only_copy
from broker import front, get_broker, remote
from broker.errors import BrokerUnavailable
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.remote import RemoteBroker
from broker.service import lock
from broker.service.owner import Owner, Place, keeper_path, owner_here, serve
from broker.service.run import Watch, taken
from tests.support import PATIENCE_S, eventually, free_port


def test_the_lock_won_makes_an_owner_for_the_length_of_the_block(place: Place) -> None:
    with get_broker() as broker:
        assert broker.status().ready
        assert owner_here(place) is not None
        with get_broker() as same:
            assert same is broker
    assert owner_here(place) is None
    assert lock.read(place.lock_path) is None


def test_a_gateway_of_its_own_is_entered_by_its_port_and_found_without(state: Path, settings: Settings) -> None:
    store = state / "replay.sqlite3"
    with (
        EmbeddedGateway(store_path=store) as gateway,
        get_broker(port=gateway.port, state_dir=state, accounts=lambda: (gateway.account,)) as broker,
        get_broker() as inner,
    ):
        assert inner is broker
        assert broker.status().account == gateway.account


def test_an_owner_that_serves_nobody_is_named(place: Place) -> None:
    held = lock.take(place.lock_path)
    held.write(lock.Holder("", 42, "build", "2024-01-02T00:00:00+00:00", "run_cycle"))
    with pytest.raises(BrokerUnavailable) as refused, get_broker():
        pass
    assert "owned by pid 42 (run_cycle), which serves no other process" in str(refused.value)
    held.release()


def test_a_closed_port_is_known_before_the_time_is_up(settings: Settings, state: Path) -> None:
    settings.AUTOTRADER_BROKER_PORT = free_port()
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable) as refused, get_broker():
        pass
    assert time.monotonic() - began < front.CONNECT_LIMIT / 2
    assert str(settings.AUTOTRADER_BROKER_PORT) in str(refused.value)
    assert owner_here() is None


def test_web_and_worker_never_own(place: Place, settings: Settings) -> None:
    settings.AUTOTRADER_MAY_OWN_BROKER = False
    with pytest.raises(BrokerUnavailable) as refused, get_broker():
        pass
    assert "run_broker" in str(refused.value)


def test_an_address_that_was_set_is_used_even_where_the_lock_is_free(
    place: Place, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "PING_LIMIT", 0.5)
    settings.AUTOTRADER_BROKER_URL = f"http://127.0.0.1:{place.port}"
    with get_broker() as broker, pytest.raises(BrokerUnavailable):
        broker.positions()
    settings.AUTOTRADER_BROKER_URL = "ftp://nowhere"
    with pytest.raises(BrokerUnavailable), get_broker():
        pass


def test_a_client_id_that_another_host_uses_ends_the_process(
    place: Place, start: Callable[..., Owner], tmp_path: Path
) -> None:
    start(place)
    ended = threading.Event()
    with serve(replace(place, state_dir=tmp_path / "another host", accounts=lambda: ("DU1",))) as second:
        watch = Watch(second, print, ended.set, taken_for=0.3)
        watch.start()
        assert ended.wait(PATIENCE_S), second.broker.status()
        watch.stop()
        assert watch.taken
        assert "326" in second.broker.status().reason
        eventually(lambda: "AUTOTRADER_BROKER_CLIENT_ID" in second.broker.status().action)
        assert f"client id 1 at {place.host}:{place.port}" in taken(place)


@pytest.fixture
def kept(place: Place) -> Iterator[Place]:
    """A connection whose owner a supervisor keeps."""
    with only_copy(keeper_path(place.state_dir), keeps=place.lock_path.name):
        yield place


def test_no_other_program_becomes_the_owner_that_a_supervisor_keeps(
    kept: Place, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(front, "CONNECT_LIMIT", 0.2)
    settings.AUTOTRADER_BROKER_PORT_IS_SET = False
    words = rf"manage\.py up \(pid {os.getpid()}\)"
    for options in ({}, {"embedded": True}, {"port": kept.port}):
        with pytest.raises(BrokerUnavailable, match=words), get_broker(**options):
            pass
    with pytest.raises(CommandError, match=words) as refused:
        call_command("run_broker")
    assert refused.value.returncode == 3
    assert lock.read(kept.lock_path) is None


def test_who_may_not_own_is_told_at_once_that_the_owner_is_being_started(kept: Place, settings: Settings) -> None:
    settings.AUTOTRADER_MAY_OWN_BROKER = False
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable, match=r"manage\.py up \(pid"), get_broker():
        pass
    assert time.monotonic() - began < front.CONNECT_LIMIT / 2


def test_the_owner_that_is_being_started_is_waited_for(kept: Place) -> None:
    held = lock.take(kept.lock_path)
    announced = lock.Holder("http://127.0.0.1:1", 42, "build", "2024-01-02T00:00:00+00:00")
    later = threading.Timer(0.2, held.write, [announced])
    later.start()
    with get_broker() as broker:
        assert isinstance(broker, RemoteBroker)
    later.join()
    held.release()


def test_a_gateway_of_its_own_is_owned_beside_a_supervisor(kept: Place, state: Path) -> None:
    with (
        EmbeddedGateway(store_path=state / "replay.sqlite3") as gateway,
        get_broker(port=gateway.port, accounts=lambda: (gateway.account,)) as broker,
    ):
        assert broker.status().account == gateway.account


def test_no_owner_starts_inside_a_transaction(place: Place) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError), get_broker():
        pass
