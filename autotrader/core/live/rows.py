"""Rows of lists that a fill changed, sent along with its line: each is made once for all pages of this process."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, runtime_checkable

from autotrader.core.live.frames import Frame, document_of
from autotrader.core.live.reader import DatabaseAway
from autotrader.core.users.access import Access

logger = logging.getLogger(__name__)
KNOWN = 512  # events of which is known what rows they name
KEPT = 16  # frames with rows, for those who read a little later
WAITING = 8  # frames that are being made or wait for it; pages that come in late leave what is more to their renewal
MOST = 20  # rows of one frame; a page asks for its list as a whole where more have changed
Made = Mapping[str, str]
Make = Callable[[Sequence[str], Collection[str]], Made]
Read = Callable[[Callable[[], Made], int], Awaitable[Made]]


@dataclass(frozen=True, slots=True)
class RowList:
    """A list whose rows are told to whoever has `permission`.

    `make` reads and renders the rows of some keys: key → HTML, without those that are gone. It is given which of
    `shows` the person has: the permissions that decide what a row shows.
    """

    permission: str
    make: Make
    shows: frozenset[str] = frozenset()


@runtime_checkable
class KnowsRows(Protocol):
    """A renderer of lines that makes rows as well."""

    def rows_of(self, document: Mapping[str, Any]) -> Sequence[str]:
        """The rows that the event names, each "<list>:<key>": known before its line is made."""

    @property
    def lists(self) -> Mapping[str, RowList]:
        """By the name that a line's `rows` begin with."""


class NoRows:
    """For lines of which none names a row."""

    lists: Mapping[str, RowList] = {}

    def rows_of(self, document: Mapping[str, Any]) -> Sequence[str]:
        """None."""
        return ()


@dataclass(slots=True)
class Rows:
    """`read` runs something in a thread that has a connection to the database: what has the same number, one after the
    other. Each list has a number of its own, as a row that was read earlier must not be told after a newer one."""

    maker: KnowsRows
    read: Read
    _names: OrderedDict[tuple[int, str], Sequence[str]] = field(default_factory=OrderedDict)
    _asked: OrderedDict[tuple[object, ...], asyncio.Task[str]] = field(default_factory=OrderedDict)

    def wanted(self, names: Iterable[str], access: Access) -> dict[str, frozenset[str]]:
        """Of the lists that a page names those that its reader may see, with what decides how their rows look."""
        lists = self.maker.lists
        found = {name: lists[name] for name in names if name in lists}
        return {
            name: frozenset(filter(access.may, told.shows))
            for name, told in found.items()
            if access.may(told.permission)
        }

    def of(self, events: Sequence[Frame], wanted: Mapping[str, frozenset[str]]) -> Iterator[asyncio.Task[str]]:
        """The frames for these events; a frame is "" where nothing can be told.

        Where many wait to be made already, none.
        """
        keys: dict[str, dict[str, None]] = {}
        for event in events:
            for row in self._named(event):
                name, _, key = row.partition(":")
                keys.setdefault(name, {})[key] = None
        for name, held in wanted.items():
            if 0 < len(keys.get(name, ())) <= MOST and (
                frame := self._frame(name, tuple(keys[name]), held, events[-1].seq)
            ):
                yield frame

    def _frame(self, name: str, keys: tuple[str, ...], held: frozenset[str], to: int) -> asyncio.Task[str] | None:
        asked = (name, keys, held, to)
        task = self._asked.get(asked)
        if task is None:
            if sum(not other.done() for other in self._asked.values()) >= WAITING:
                return None
            task = self._asked[asked] = asyncio.create_task(self._made(name, keys, held))
            while len(self._asked) > KEPT:
                self._asked.popitem(last=False)
        return task

    async def _made(self, name: str, keys: tuple[str, ...], held: frozenset[str]) -> str:
        try:
            lists = self.maker.lists
            made = await self.read(partial(lists[name].make, keys, held), list(lists).index(name))
        except DatabaseAway:
            return ""
        except Exception:
            logger.exception("rows of %s cannot be shown", name)
            return ""
        return json.dumps({"of": name, "rows": {key: made.get(key, "") for key in keys}})

    def _named(self, event: Frame) -> Sequence[str]:
        """Nothing where the document is so odd that its line is a plain one, which is logged where that is made."""
        found = self._names.get((event.seq, event.hash))
        if found is None:
            try:
                found = self.maker.rows_of(document_of(event))
            except Exception:
                found = ()
            self._names[event.seq, event.hash] = found
            while len(self._names) > KNOWN:
                self._names.popitem(last=False)
        return found
