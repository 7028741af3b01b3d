"""One thread with one connection to the database, which every stream of this process reads through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from django.db import Error, connection

from autotrader.core.audit.models import AuditHead
from autotrader.core.audit.tail import read_after
from autotrader.core.live.frames import Frame, frame_of

T = TypeVar("T")


class DatabaseAway(Exception):
    """The database did not answer, or not in time."""


@dataclass(frozen=True, slots=True)
class Place:
    """A row of the log by number and hash: two logs that agree on it agree on all before it."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class News:
    """The events after a place, and the last one's place. `rewritten`: the log no longer holds the place asked for."""

    frames: tuple[Frame, ...]
    last: Place
    rewritten: bool = False


class Reader:
    """Ask from one event loop; each question waits for its turn and at most `answer_s` seconds."""

    def __init__(self, answer_s: float) -> None:
        self._answer_s = answer_s
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="events")

    async def head(self) -> Place:
        """The log's last row, as it is committed now. This and all below raise DatabaseAway."""
        return await self.ask(_head)

    async def news(self, place: Place, limit: int) -> News:
        """At most `limit` events after `place`. Raises TailBroken where one is missing."""
        return await self.ask(partial(_news, place, limit))

    async def frames(self, after: int, limit: int) -> tuple[Frame, ...]:
        """The `limit` events after the number `after`. Raises TailBroken."""
        return await self.ask(partial(_frames, after, limit))

    async def change_counter(self) -> int:
        """SQLite's number that moves with every commit of another connection; reads no table."""
        return await self.ask(_change_counter)

    async def connection_parameters(self) -> dict[str, Any]:
        """What a further connection to the same database is opened with."""
        return await self.ask(_connection_parameters)

    def close(self) -> None:
        """Give the connection back; what is asked at this moment is not waited for."""
        self._pool.submit(_close)
        self._pool.shutdown(wait=False)

    async def ask(self, work: Callable[[], T]) -> T:
        """What `work` finds, in the thread that has the connection."""
        answer = asyncio.get_running_loop().run_in_executor(self._pool, _asked, work)
        try:
            # Not wait_for, which before Python 3.12 forgets that it was cancelled where the answer came just then.
            async with asyncio.timeout(self._answer_s):
                return await answer
        except TimeoutError as error:
            raise DatabaseAway(f"no answer in {self._answer_s:g} s") from error
        except Error as error:
            raise DatabaseAway(str(error)) from error


def _asked(work: Callable[[], T]) -> T:
    try:
        return work()
    except Error:
        connection.close()  # the next question connects anew
        raise


def _head() -> Place:
    seq, digest = AuditHead.objects.values_list("seq", "hash").get(pk=1)
    return Place(seq, digest)


def _news(place: Place, limit: int) -> News:
    rows = read_after(place.seq, limit)
    if rows:
        last = Place(rows[-1].seq, rows[-1].hash)
        return News(tuple(map(frame_of, rows)), last, rewritten=rows[0].previous_hash != place.hash)
    head = _head()  # of this moment: rows may have come since, and are read by the next call
    return News((), place, rewritten=head.seq < place.seq or (head.seq == place.seq and head.hash != place.hash))


def _frames(after: int, limit: int) -> tuple[Frame, ...]:
    return tuple(map(frame_of, read_after(after, limit)))


def _change_counter() -> int:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA data_version")
        counter: int = cursor.fetchone()[0]
    return counter


# By name within the thread: `connection` is another one in each.
def _connection_parameters() -> dict[str, Any]:
    found: dict[str, Any] = connection.get_connection_params()
    return found


def _close() -> None:
    connection.close()
