"""What daphne's transport holds back, and that a frame goes to the kernel without a turn of the loop."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from autobahn.websocket import protocol as autobahn_protocol
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection

from autotrader.core.live.buffers import held_by, spare_colours, takes_all, write_at_once


@dataclass
class Asked:
    """In the reactor's place: who wants to be told that the kernel has room."""

    writers: list[Any] = field(default_factory=list)
    count: int = 0

    def addWriter(self, writer: Any) -> None:
        if writer not in self.writers:
            self.writers.append(writer)
            self.count += 1

    def removeWriter(self, writer: Any) -> None:
        if writer in self.writers:
            self.writers.remove(writer)

    def removeReader(self, reader: Any) -> None:
        """Nobody reads here."""


@dataclass
class Line:
    """A connection of Twisted's own over a real pair of sockets, and daphne's way of sending by it."""

    asked: Asked
    transport: Any
    far: socket.socket
    send: Any


async def reply(protocol: Protocol, message: object) -> None:
    """Daphne's is bound to the protocol, too."""


@pytest.fixture
def line() -> Iterator[Line]:
    with ExitStack() as held:
        near, far = (held.enter_context(closing(one)) for one in socket.socketpair())
        near.settimeout(0)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        asked, protocol = Asked(), Protocol()
        transport = Connection(near, protocol, asked)
        transport.connected = True
        protocol.transport = transport
        yield Line(asked, transport, far, partial(reply, protocol))


def test_a_frame_is_with_the_kernel_once_it_is_sent(line: Line) -> None:
    write_at_once(line.send)
    for number in range(3):
        line.transport.write(b"frame %d;" % number)
        assert line.far.recv(100) == b"frame %d;" % number
    assert (line.asked.count, held_by(line.send)) == (0, 0)


def test_a_connection_is_prepared_once(line: Line) -> None:
    write_at_once(line.send)
    prepared = line.transport.startWriting
    write_at_once(line.send)
    assert line.transport.startWriting is prepared


def test_before_that_the_loop_asks_whether_there_is_room(line: Line) -> None:
    line.transport.write(b"a frame")
    assert (line.asked.count, held_by(line.send)) == (1, 7)


def test_what_the_kernel_does_not_take_waits_and_comes_in_order(line: Line) -> None:
    write_at_once(line.send)
    frames = [b"%05d" % number * 2000 for number in range(40)]
    for frame in frames:
        line.transport.write(frame)
    assert line.asked.writers == [line.transport]
    assert line.asked.count == 1
    assert held_by(line.send) > 0
    come = b""
    while line.asked.writers:
        come += line.far.recv(1 << 16)
        assert line.transport.doWrite() is None
    line.far.settimeout(0)
    while len(come) < sum(map(len, frames)):
        come += line.far.recv(1 << 16)
    assert come == b"".join(frames)
    line.transport.write(b"and on")
    assert line.far.recv(100) == b"and on"


def test_a_client_that_has_gone_is_left_to_the_loop(line: Line) -> None:
    write_at_once(line.send)
    line.far.close()
    line.transport.write(b"too late")
    assert line.asked.writers == [line.transport]
    assert isinstance(line.transport.doWrite(), Exception)


def test_a_connection_that_is_being_closed_is_closed_by_the_loop(line: Line) -> None:
    write_at_once(line.send)
    line.transport.loseConnection()
    assert line.asked.writers == [line.transport]
    assert line.transport.doWrite() is not None


def test_an_encrypted_one_and_another_server_stay_as_they_are(line: Line) -> None:
    line.transport.TLS = True
    write_at_once(line.send)
    line.transport.TLS = False
    line.transport.write(b"a frame")
    assert line.asked.count == 1
    write_at_once(reply)
    assert takes_all(line.send)
    assert not takes_all(reply)


def test_a_debug_line_has_no_colours() -> None:
    spare_colours()
    assert autobahn_protocol.hltype(test_a_debug_line_has_no_colours) is test_a_debug_line_has_no_colours
    assert autobahn_protocol.hlval(7) == 7
