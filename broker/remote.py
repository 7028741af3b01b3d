"""The same port over HTTP: the owner in another process, asked whether it lives before it is relied on."""

from __future__ import annotations

import http.client
import json
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from autotrader.core import audit
from autotrader.core.clock import system_now
from autotrader.core.ops.correlation import HEADER
from broker import codec, gates, types
from broker.errors import CLASSES, BrokerUnavailable
from broker.measured import timed
from broker.port import TABLE, Call, with_async_twins

# A silent owner is known within a second, even one that falls silent after a first sign of life: two beats without an
# answer, then a ping that is not answered either. Most calls are answered within the first beat.
FIRST_BEAT = 0.1
BEAT = 0.15
PING_LIMIT = 0.7
FRESH = 1.0
ANSWER_SLACK = 2.0
WRONG_SECRET = "UNAUTHORIZED"
NOT_TWICE = frozenset({"cancel", "cancel_all"})
DRAIN = Call("drain", types.Nothing, types.Nothing, 10, "read", "Wait until what the broker has said is applied.")
BROKEN = (http.client.HTTPException, OSError)


class _Late(Exception):
    """The call's time is up although the owner lives."""


class _Life:
    """What this process knows of one owner: when it last answered, until when it counts as down, how its clock goes.

    `ahead` is its time minus ours in seconds; 0 where that is less than an answer may take.
    """

    def __init__(self) -> None:
        self.ahead = 0.0
        self.answered = float("-inf")
        self.down_until = float("-inf")
        self.reason = ""

    def note_answer(self) -> None:
        self.answered, self.down_until = time.monotonic(), float("-inf")

    def note_time(self, told: Any, asked: float, answered: float) -> None:
        now = told.get("now") if isinstance(told, dict) else None
        ahead = now - (asked + answered) / 2 if isinstance(now, float) else 0.0
        self.ahead = ahead if abs(ahead) > PING_LIMIT else 0.0

    def note_down(self, reason: str) -> None:
        self.answered, self.down_until, self.reason = float("-inf"), time.monotonic() + FRESH, reason


_lives: dict[str, _Life] = {}


class _Gone(Exception):
    """The owner is gone; whether the call reached it is not known."""


class _Door:
    """One owner's address; one kept connection a thread."""

    def __init__(self, url: str, secret: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise BrokerUnavailable(f"{url} is no http:// address of an owner.")
        self.url = url
        self._host, self._port = parts.hostname, parts.port or 80
        self._secret = secret
        self._caller = f"{os.environ.get('AUTOTRADER_PROCESS_ROLE', 'command')}:{os.getpid()}"
        self._life = _lives.setdefault(url, _Life())
        self._local = threading.local()
        self._open: set[http.client.HTTPConnection] = set()

    def close(self) -> None:
        """Close every thread's connection."""
        while self._open:
            self._open.pop().close()

    def ask(self, path: str, body: bytes, limit: float, *, attempts: int) -> Any:
        """The owner's answer to one call. Raises what the owner raised, _Gone, or BrokerUnavailable after `limit`."""
        for attempt in range(1, attempts + 1):
            try:
                return self._exchange(path, body, limit)
            except _Late as error:
                self._drop()
                raise BrokerUnavailable(f"The owner at {self.url} had no answer in time.") from error
            except BROKEN as error:
                self._drop()
                if attempt == attempts or isinstance(error, TimeoutError):
                    self._unavailable(f"the call was broken off ({_say(error)})")
                    raise _Gone(self._life.reason) from error
        raise AssertionError("unreachable")

    def check_alive(self) -> None:
        """Raises BrokerUnavailable where the owner is known to be down, or has not answered lately and is silent."""
        if time.monotonic() < self._life.down_until:
            raise BrokerUnavailable(self._life.reason)
        if time.monotonic() - self._life.answered > FRESH:
            self._ping()

    def _ping(self, beside: socket.socket | None = None) -> None:
        """Ask for a sign of life; an answer to the call `beside` is one too. Raises BrokerUnavailable for silence."""
        connection, asked = self._connect(PING_LIMIT), system_now().timestamp()
        until = time.monotonic() + PING_LIMIT
        try:
            connection.request("GET", "/ping", headers=self._headers())
            readable = _readable(max(until - time.monotonic(), 0), connection.sock, beside)
            if not readable:
                raise TimeoutError("it is silent")
            if connection.sock in readable:
                self._life.note_time(_result(connection.getresponse()), asked, system_now().timestamp())
        except (*BROKEN, BrokerUnavailable) as error:
            if isinstance(error, BrokerUnavailable) and error.reason == WRONG_SECRET:
                raise
            raise self._unavailable(f"it does not answer ({_say(error)})") from error
        finally:
            connection.close()
        self._life.note_answer()

    def _exchange(self, path: str, body: bytes, limit: float) -> Any:
        connection = self._kept()
        deadline = limit + self._life.ahead  # by the owner's clock, which another host's need not agree with
        headers = {**self._headers(), "X-Deadline": f"{deadline:.3f}", "Content-Type": "application/json"}
        connection.request("POST", path, body, headers)
        self._await_answer(connection, limit + ANSWER_SLACK)
        response = connection.getresponse()
        self._life.note_answer()
        return _result(response)

    def _await_answer(self, connection: http.client.HTTPConnection, limit: float) -> None:
        """Wait for the first byte; beside it ask again and again whether the owner still lives."""
        beat = FIRST_BEAT
        while not _readable(beat, connection.sock):
            beat = BEAT
            if system_now().timestamp() > limit:
                raise _Late
            try:
                self._ping(connection.sock)
            except BrokerUnavailable:
                self._drop()
                raise

    def _kept(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None or connection.sock is None:
            connection = self._connect(PING_LIMIT)
            connection.connect()
            # An answer comes at once when it comes; the wait for its first byte is `_await_answer`'s.
            connection.sock.settimeout(PING_LIMIT)
            self._local.connection = connection
            self._open.add(connection)
        return connection

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    def _drop(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._open.discard(connection)
            self._local.connection = None

    def _headers(self) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self._secret}", "X-Caller": self._caller}
        if identity := audit.current().correlation_id:
            headers[HEADER] = identity
        return headers

    def _unavailable(self, reason: str) -> BrokerUnavailable:
        self._life.note_down(f"The broker's owner at {self.url} is not available: {reason}.")
        return BrokerUnavailable(self._life.reason)


@with_async_twins
class RemoteBroker:
    """The port's methods, one a row of the table.

    `find` says where the owner answers now, or raises BrokerUnavailable; without it the address is for good.
    """

    def __init__(self, url: str, secret: str, find: Callable[[], str] | None = None) -> None:
        self._secret = secret
        self._find = find
        self._moving = threading.Lock()
        self._doors = [_Door(url, secret)]

    def close(self) -> None:
        """Close every connection."""
        for door in self._doors:
            door.close()

    def drain(self, timeout: float = 10) -> None:
        """Wait until everything the broker has said so far is applied to our rows."""
        self._call(DRAIN, "/drain", b"{}", timeout)

    def call(self, name: str, request: Any) -> Any:
        """Make the call of a row. Raises what the owner raised, or BrokerUnavailable."""
        row, body = TABLE[name], codec.dumps(request).encode()
        answer = timed(name, "caller", lambda: self._call(row, f"/call/{name}", body, row.timeout))
        return codec.from_json(row.answer, answer)

    def _call(self, row: Call, path: str, body: bytes, timeout: float) -> Any:
        gates.refuse_in_transaction()
        limit = system_now().timestamp() + timeout
        door = self._living()
        # A place or modify that comes twice is known by its Submission; a cancel is not.
        attempts = 1 if row.name in NOT_TWICE else 2
        try:
            return door.ask(path, body, limit, attempts=attempts)
        except _Gone as gone:
            lost = BrokerUnavailable(str(gone))
            if attempts == 1 or self._follow(door, lost) is door:
                raise lost from gone
        try:
            return self._living().ask(path, body, limit, attempts=1)
        except _Gone as gone:
            raise BrokerUnavailable(str(gone)) from gone

    def _living(self) -> _Door:
        """The owner to ask, found anew where the one known does not answer. Raises BrokerUnavailable."""
        door = self._doors[-1]
        try:
            door.check_alive()
        except BrokerUnavailable as silent:
            successor = self._follow(door, silent)
            if successor is door:
                raise
            successor.check_alive()
            return successor
        return door

    def _follow(self, door: _Door, lost: BrokerUnavailable) -> _Door:
        """The owner that came after this one; the same where none did. Raises BrokerUnavailable saying why not."""
        if self._find is None:
            return door
        with self._moving:
            if self._doors[-1] is door:
                try:
                    url = self._find()
                except BrokerUnavailable as error:
                    raise BrokerUnavailable(f"{lost.message} {error.message}", code=lost.reason) from error
                if url != door.url:
                    # Other threads may still read from the old one's connections: they are closed at the end.
                    self._doors.append(_Door(url, self._secret))
            return self._doors[-1]


def _readable(seconds: float, *sockets: socket.socket | None) -> list[socket.socket]:
    """Those that have something to read, or are closed, within so many seconds."""
    poll = select.poll()
    watched = {one.fileno(): one for one in sockets if one is not None}
    for number in watched:
        poll.register(number, select.POLLIN)
    return [watched[number] for number, _ in poll.poll(seconds * 1000)]


def _result(response: http.client.HTTPResponse) -> Any:
    """The answer's JSON, or the error that the owner raised, as the same class."""
    text = response.read()
    try:
        document = json.loads(text)
    except ValueError as error:
        raise BrokerUnavailable(f"What answers there is no owner (HTTP {response.status}).") from error
    if response.status == 200:
        return document
    try:
        told = document["error"]
        cls, message, code, details = CLASSES[told["class"]], told["message"], told["code"], told["details"]
    except (KeyError, TypeError) as error:
        raise BrokerUnavailable(f"What answers there is no owner (HTTP {response.status}).") from error
    raise cls(message, code=code, details=details)


def _say(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _method(call: Call) -> Any:
    if call.request is types.Nothing:

        def method(self: RemoteBroker) -> Any:
            return self.call(call.name, types.Nothing())
    else:

        def method(self: RemoteBroker, request: Any) -> Any:  # type: ignore[misc]
            return self.call(call.name, request)

    method.__name__ = call.name
    method.__doc__ = call.doc
    return method


for _row in TABLE.values():
    setattr(RemoteBroker, _row.name, _method(_row))
