"""Warnings about connections do not flood the log."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable

import pytest

from broker.paper_gateway import complaints
from broker.paper_gateway.complaints import MOST_A_SECOND, Complaints
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.support import eventually


def test_only_the_first_few_of_a_second_are_told_and_the_others_counted(caplog: pytest.LogCaptureFixture) -> None:
    due: list[Callable[[], None]] = []
    found = Complaints(lambda seconds, run: due.append(run))
    with caplog.at_level(logging.WARNING, complaints.__name__):
        for number in range(1000):
            found.warn("%s", number)
        assert [record.args for record in caplog.records] == [(number,) for number in range(MOST_A_SECOND)]
        due.pop()()
        assert [record.args for record in caplog.records[MOST_A_SECOND:]] == [(1000 - MOST_A_SECOND,)]
        found.warn("%s", "the next second")
        due.pop()()
        assert caplog.records[-1].args == ("the next second",)


def test_connections_with_garbage_are_closed_without_a_line_each(
    gateway: EmbeddedGateway, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", gateway.port)) as one:
                one.sendall(b"API\0\xff\xff\xff\xff" + b"x" * 20)
                one.settimeout(45)
                while one.recv(4096):
                    pass
        eventually(lambda: sum(map(_connections, caplog.records)) == 50)
    assert len(caplog.records) <= (time.monotonic() - began + 2) * (MOST_A_SECOND + 1)


def _connections(record: logging.LogRecord) -> int:
    """How many connections a line tells of: one by one with client and reason, the others by their number."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    return arguments[0] if len(arguments) == 1 and isinstance(arguments[0], int) else 1
