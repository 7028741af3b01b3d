"""The gateway as a process of its own, and what importing it loads."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.paper_gateway.command import add_arguments, options_from, run
from broker.paper_gateway.control import LOOPBACK, ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.prices.shapes import HoursMode
from tests.paper_gateway_wire.conftest import ACCOUNT, START, RawClient, connected
from tests.paper_gateway_wire.raw_client import encode, order_fields
from tests.support import PATIENCE_S

ROOT = Path(__file__).parents[2]


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A running gateway process and what its one line of output says."""
    with launched(["-m", "broker.paper_gateway", "--port", "0", *arguments], None) as running:
        yield running


@contextmanager
def launched(
    command: list[str], environment: dict[str, str] | None
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A Python process that prints one line of name=value words."""
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            yield child, dict(word.split("=", 1) for word in line.split() if "=" in word)
        finally:
            child.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    store = tmp_path / "paper.sqlite3"
    arguments = ["--control", "0", "--store", str(store), "--set-clock", START.isoformat(), "--account", ACCOUNT]
    with process(*arguments) as (child, said):
        assert said["account"] == ACCOUNT
        async with connected(int(said["port"])) as client:
            assert await client.fence() == START
        with ControlClient("127.0.0.1", int(said["control"])) as control:
            assert control.status()["clock"] == "set"
        child.send_signal(number)
        assert child.wait(PATIENCE_S) == 0
        assert child.stderr is not None
        assert child.stderr.read() == ""
    assert store.exists()


def test_it_ends_with_its_standard_input() -> None:
    with process("--exit-with-stdin") as (child, said):
        assert said["control"] == "none"
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("option", ["--port", "--control"])
def test_a_port_in_use_is_one_sentence_and_exit_1(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with EmbeddedGateway() as gateway:
        arguments = ["--port", "0", option, str(gateway.port)]
        assert run(options_from(parser.parse_args(arguments)), exit_with_stdin=False) == 1
        said = capsys.readouterr().err
        assert said == (
            f"paper gateway: port {gateway.port} on 127.0.0.1 is in use already; "
            f"choose another with {option}, 0 = any free one\n"
        )


def test_a_port_that_is_none_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    for text in ("abc", "70000", "-1", "\u0663"):
        with pytest.raises(SystemExit):
            parser.parse_args([f"--port={text}"])
        assert "is not a port from 0 to 65535" in capsys.readouterr().err


def test_what_was_told_before_a_kill_is_known_after_it(tmp_path: Path) -> None:
    """Many orders are committed at once, yet never after a client has heard of one."""
    store = ["--store", str(tmp_path / "paper.sqlite3")]
    with process(*store) as (child, said), RawClient(int(said["port"])) as raw:
        raw.start(client_id=5)
        raw.send(b"".join(encode(*order_fields(order_id, "BUY", 1, 1.0)) for order_id in range(1, 201)))
        told = {raw.until("5")[1] for _ in range(100)}
        child.kill()
    with process(*store) as (_, said), RawClient(int(said["port"])) as raw:
        raw.start(client_id=5)
        raw.message(5, 1)
        known = set()
        while (fields := raw.until("5", "53"))[0] == "5":
            known.add(fields[1])
    assert told <= known


def test_faults_come_from_the_command_line() -> None:
    options = ["--control", "0", "--fault", "drop:kinds=acks+execDetails,times=3", "--fault-seed", "7"]
    with process(*options, "--pacing", "real") as (_, said), ControlClient(LOOPBACK, int(said["control"])) as control:
        drop, pacing = control.faults()
        assert drop["reproduce"] == "drop:times=3,seed=7,kinds=acks+execDetails"
        assert (pacing["name"], pacing["state"]) == ("pacing", "on")


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--fault", "drop:times=often", "times"),
        ("--fault", "blackhole", "black_hole"),
        ("--delayed", "AAPL,NOSUCH", "NOSUCH"),
        ("--start", "1990-01-01", "2008-01-11"),
        ("--set-clock", "2008-01-11T04:59:59", "2008-01-11"),
        ("--set-clock", "2070-01-02", "2069-12-31"),
    ],
)
def test_a_value_that_makes_no_sense_is_one_sentence_and_exit_2(
    option: str, value: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert run(options_from(parser.parse_args(["--port", "0", option, value])), exit_with_stdin=False) == 2
    said = capsys.readouterr().err
    assert (len(said.strip().splitlines()), option in said, word in said) == (1, True, True)


@pytest.mark.parametrize(
    "arguments", [["--set-clock", "noon"], ["--cash", "NaN"], ["--port", "70000"], ["--control", "x"], ["--what"]]
)
def test_bad_arguments_are_exit_2(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "broker.paper_gateway", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2


async def test_the_management_command_takes_its_defaults_from_the_settings(tmp_path: Path) -> None:
    environment = {**os.environ, "AUTOTRADER_STATE_DIR": str(tmp_path), "AUTOTRADER_BROKER_HOST": "127.0.0.2"}
    command = ["manage.py", "run_paper_gateway", "--port", "0", "--exit-with-stdin"]
    with launched(command, environment) as (child, said):
        assert said["host"] == "127.0.0.2"
        async with connected(int(said["port"]), host="127.0.0.2") as client:
            assert client.ib.managedAccounts() == [said["account"]]
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(PATIENCE_S) == 0
    assert (tmp_path / "paper.sqlite3").exists()


@pytest.mark.parametrize(
    "module", ["broker.paper_gateway", "broker.paper_gateway.server", "broker.paper_gateway.embedded"]
)
def test_importing_it_loads_neither_django_nor_a_client_library(module: str) -> None:
    script = f"import {module}, sys; print(sorted({{'django', 'ib_insync', 'eventkit'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_store_that_does_not_fit_is_named_with_the_way_to_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, parser = tmp_path / "paper.sqlite3", argparse.ArgumentParser()
    add_arguments(parser, store=store)
    assert str(store) in "".join(parser.format_help().split())
    assert options_from(parser.parse_args([])).store_path == store
    assert options_from(parser.parse_args(["--store", "none"])).store_path is None
    with EmbeddedGateway(store_path=store):
        assert run(options_from(parser.parse_args(["--port", "0"])), exit_with_stdin=False) == 1
    for options in (["--start", "2020-01-02"], ["--seed", "5"], ["--account", "DU5"], ["--set-clock", "2026-01-02"]):
        assert run(options_from(parser.parse_args(["--port", "0", *options])), exit_with_stdin=False) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 5
    assert all(str(store) in line and "--store FILE" in line for line in said)


@pytest.mark.parametrize("hours", ["always", "exchange"])
def test_there_are_prices_on_the_first_day_that_is_named(hours: HoursMode) -> None:
    with EmbeddedGateway(set_clock=datetime(2008, 1, 11, 5, tzinfo=UTC), hours=hours) as gateway:
        gateway.command("manual", con_id=756733, action="BUY", quantity=1)
        gateway.command("step", seconds=86_400)
        (order,) = gateway.truth()["orders"].values()
        assert order["status"] == "Filled"
